// The command line of what a page does, for copying.
import { fill, h, toast } from "./dom.js";

export function command(line) {
  const code = h("code", {}), say = (text) => fill(code, words(text));
  say(line);
  const button = h("button", { type: "button", "aria-label": "Copy as command" }, "Copy as command");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      toast("copied");
    } catch (error) {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      toast("selected: copy with Ctrl+C");
    }
  });
  const made = h("div", { class: "command" }, code, button);
  made.say = say;
  return made;
}

// Lines break between words alone, not after a hyphen of `--out`.
const words = (text) => text.split(/( +)/).map((part) => (part.trim() ? h("span", {}, part) : part));
