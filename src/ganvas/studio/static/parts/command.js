// The command line of what a page does, for copying.
import { h, toast } from "./dom.js";

export function command(line) {
  const code = h("code", {}, line);
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
  made.say = (text) => { code.textContent = text; };
  return made;
}
