// Asks the studio's own server, and no other.

async function answer(response) {
  let values;
  try {
    values = await response.json();
  } catch (error) {
    throw new Error(response.status === 403 ? "the studio was started anew: open the address that it printed" : "the studio does not answer");
  }
  if (!response.ok || values.error) throw new Error(values.error || "the studio does not answer");
  return values;
}

function query(values) {
  const given = Object.entries(values || {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

const gone = () => { throw new Error("the studio does not answer: is it still running?"); };

export const address = (name, values) => `/api/${name}${query(values)}`;
export const get = async (name, values) => answer(await fetch(address(name, values)).catch(gone));
export const post = async (name, values) =>
  answer(await fetch(address(name), { method: "POST", headers: { "x-studio": "1", "content-type": "application/json" }, body: JSON.stringify(values || {}) }).catch(gone));
export const upload = async (file, name) =>
  answer(await fetch(address("upload", { name: name || file.name }), { method: "POST", headers: { "x-studio": "1" }, body: file }).catch(gone));

// Calls `work` again and again while the page is there; slower where nobody looks.
export function every(seconds, page, work) {
  let over = false;
  async function turn() {
    if (over || !page.isConnected) return;
    try { await work(); } catch (error) { page.dispatchEvent(new CustomEvent("trouble", { detail: error.message })); }
    if (!over) setTimeout(turn, 1000 * (document.hidden ? Math.max(5, seconds) : seconds));
  }
  setTimeout(turn, 1000 * seconds);
  return () => { over = true; };
}
