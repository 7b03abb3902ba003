// Elements from values. Text is always text: nothing here parses HTML, so names of files, runs and classes stay what they are.

export function h(tag, props, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key in made && !["list", "form", "width", "height", "type"].includes(key) && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  add(made, children);
  return made;
}

export function add(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

export function fill(parent, ...children) {
  parent.replaceChildren();
  return add(parent, children);
}

let numbered = 0;
export const id = (stem) => `${stem}-${++numbered}`;

export function toast(text, bad) {
  const made = h("div", { class: bad ? "toast bad" : "toast" }, text);
  document.getElementById("toasts").append(made);
  setTimeout(() => made.remove(), bad ? 9000 : 4000);
}

// Runs what a button does; while it works the button says so, and what goes wrong is told.
export async function busy(button, work) {
  const words = button.textContent;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (error) {
    toast(error.message, true);
    return undefined;
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
    if (button.textContent !== words && button.dataset.keep !== "1") button.textContent = words;
  }
}
