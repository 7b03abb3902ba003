// A solid that turns under the pointer: the mesh of an OBJ file, shaded by the side its faces look to. No library: faces are drawn
// from back to front, which is enough for one closed shape.
import { h } from "./dom.js";

export function solid(address, name) {
  const canvas = h("canvas", { width: 480, height: 480, tabindex: 0, role: "img", "aria-label": `${name}: drag, or use the arrow keys, to turn it` });
  canvas.className = "solid";
  let mesh = null, turn = 0.7, tilt = 0.45, last = null, waiting = false;
  fetch(address).then((answer) => answer.text()).then((text) => { mesh = read(text); draw(); }, () => { canvas.title = "the file could not be read"; });

  function draw() {
    waiting = false;
    if (!mesh) return;
    const context = canvas.getContext("2d"), { points, faces } = mesh, side = canvas.width;
    const [ct, st, cx, sx] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
    const seen = new Float32Array(points.length);
    for (let k = 0; k < points.length; k += 3) {
      const [x, y, z] = [points[k], points[k + 1], points[k + 2]];
      const a = x * ct - y * st, b = x * st + y * ct;
      seen[k] = side / 2 + a * side * 0.36;
      seen[k + 1] = side / 2 - (z * cx + b * sx) * side * 0.36;
      seen[k + 2] = b * cx - z * sx; // how far away
    }
    const order = faces.map((face, k) => [seen[3 * face[0] + 2] + seen[3 * face[1] + 2] + seen[3 * face[2] + 2], k]).sort((a, b) => b[0] - a[0]);
    context.clearRect(0, 0, side, side);
    const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
    for (const [, k] of order) {
      const [a, b, c] = faces[k].map((n) => 3 * n);
      const [ux, uy, vx, vy] = [seen[b] - seen[a], seen[b + 1] - seen[a + 1], seen[c] - seen[a], seen[c + 1] - seen[a + 1]];
      const [uz, vz] = [(seen[b + 2] - seen[a + 2]) * side * 0.36, (seen[c + 2] - seen[a + 2]) * side * 0.36];
      const normal = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      const size = Math.hypot(...normal) || 1;
      const light = Math.abs(normal[0] * 0.3 + normal[1] * -0.55 + normal[2] * -0.78) / size;
      const shade = Math.round((dark ? 22 : 30) + light * 52);
      context.fillStyle = context.strokeStyle = `hsl(32 34% ${shade}%)`;
      context.beginPath();
      context.moveTo(seen[a], seen[a + 1]);
      context.lineTo(seen[b], seen[b + 1]);
      context.lineTo(seen[c], seen[c + 1]);
      context.closePath();
      context.fill();
      context.stroke();
    }
    canvas.dataset.ready = "1";
  }
  const again = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = [event.clientX, event.clientY]; });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.buttons) return;
    turn += (event.clientX - last[0]) / 90;
    tilt = Math.max(-1.5, Math.min(1.5, tilt + (event.clientY - last[1]) / 90));
    last = [event.clientX, event.clientY];
    again();
  });
  canvas.addEventListener("pointerup", () => { last = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (!step) return;
    turn += step[0];
    tilt = Math.max(-1.5, Math.min(1.5, tilt + step[1]));
    event.preventDefault();
    again();
  });
  return canvas;
}

// Points about [-1, 1] and triangles of an OBJ file. In such files y points up, here z does.
function read(text) {
  const points = [], faces = [];
  for (const line of text.split("\n")) {
    const parts = line.trim().split(/\s+/);
    if (parts[0] === "v") { const [x, y, z] = parts.slice(1, 4).map(Number); points.push(x, -z, y); }
    else if (parts[0] === "f") {
      const corners = parts.slice(1).map((one) => parseInt(one, 10) - 1);
      for (let k = 2; k < corners.length; k++) faces.push([corners[0], corners[k - 1], corners[k]]);
    }
  }
  const middle = [0, 1, 2].map((axis) => { let low = Infinity, high = -Infinity; for (let k = axis; k < points.length; k += 3) { low = Math.min(low, points[k]); high = Math.max(high, points[k]); } return [(low + high) / 2, (high - low) / 2]; });
  const reach = Math.max(...middle.map(([, half]) => half)) || 1;
  return { points: Float32Array.from(points, (value, k) => (value - middle[k % 3][0]) / reach), faces };
}
