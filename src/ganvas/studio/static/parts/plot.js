// Curves that grow: uPlot in the studio's colours. Loaded when the first curve is drawn.
import { h } from "./dom.js";

let loading;
export function ready() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(h("link", { rel: "stylesheet", href: "/static/vendor/uplot-1.6.32.min.css" }));
    const script = h("script", { src: "/static/vendor/uplot-1.6.32.min.js" });
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => reject(new Error("the curves could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const COLOURS = ["--fake", "--real", "--third", "--fourth", "--soft", "--accent"];

// names: of the curves. options: height, low, high (fixed ends), bands: [[from, to]] drawn behind, x: what the axis counts.
export function plot(names, options = {}) {
  const box = h("div", { class: "plot", role: "img", "aria-label": options.says || names.join(", ") });
  let chart = null, data = [[], ...names.map(() => [])], dead = false;
  const size = () => ({ width: Math.max(200, box.clientWidth), height: options.height || 200 });
  async function begin() {
    const uPlot = await ready();
    if (dead || !box.isConnected) return;
    const lines = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const band = (u) => {
      for (const [low, high] of options.bands || []) {
        const [top, bottom] = [u.valToPos(high, "y", true), u.valToPos(low, "y", true)];
        u.ctx.save();
        u.ctx.fillStyle = colour("--good-soft");
        u.ctx.fillRect(u.bbox.left, top, u.bbox.width, bottom - top);
        u.ctx.restore();
      }
    };
    const range = options.low === undefined ? {} : { range: [options.low, options.high] };
    chart?.destroy();
    chart = new uPlot({
      ...size(), scales: { x: { time: false }, y: range }, cursor: { y: false, drag: { x: true, y: false } },
      legend: { live: true },
      axes: [{ ...lines, size: 34, values: (u, ticks) => ticks.map((t) => (t >= 1e6 ? `${t / 1e6}M` : t >= 1e4 ? `${t / 1e3}k` : t)) }, { ...lines, size: 52 }],
      series: [{ label: options.x || "round" }, ...names.map((name, k) => ({
        label: name, stroke: colour(COLOURS[k % COLOURS.length]), width: 1.6, spanGaps: true, points: { show: false },
        value: (u, v) => (v === null || v === undefined ? "–" : Number(v.toPrecision(4))),
      }))],
      hooks: { drawClear: [band] },
    }, data, box);
  }
  const redraw = () => { begin(); };
  const watch = new ResizeObserver(() => chart?.setSize(size()));
  watch.observe(box);
  document.addEventListener("theme", redraw);
  box.show = (next) => {
    data = next;
    if (chart) chart.setData(data);
    else if (!dead) { if (!box.began) { box.began = true; begin(); } }
  };
  box.end = () => { dead = true; watch.disconnect(); document.removeEventListener("theme", redraw); chart?.destroy(); chart = null; };
  return box;
}
