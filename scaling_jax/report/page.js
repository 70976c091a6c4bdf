"use strict";
// Shows the title of the nearest point, and rings the same run in every figure and in the table.
(() => {
  const REACH = 16;
  const box = document.body.appendChild(document.createElement("div"));
  box.className = "tip";
  box.hidden = true;
  const points = [...document.querySelectorAll(".drawing use > title")].map((title) => {
    const mark = title.parentNode;
    const text = title.textContent;
    title.remove();
    return { mark, text, run: text.split("\n")[0] };
  });
  const rows = new Map();
  for (const code of document.querySelectorAll("table.runs tbody code")) {
    rows.set(code.textContent, code.closest("tr"));
  }
  let shown = null;
  let rings = [];

  function hide() {
    rings.forEach((ring) => ring.remove());
    rings = [];
    if (shown) rows.get(shown.run)?.classList.remove("lit");
    shown = null;
    box.hidden = true;
  }

  function ring(point) {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    circle.setAttribute("cx", point.mark.getAttribute("x"));
    circle.setAttribute("cy", point.mark.getAttribute("y"));
    circle.setAttribute("r", "6.5");
    circle.setAttribute("class", "ring");
    point.mark.parentNode.append(circle);
    return circle;
  }

  function show(point) {
    if (point !== shown) {
      hide();
      shown = point;
      rings = points.filter((other) => other.run === point.run).map(ring);
      rows.get(point.run)?.classList.add("lit");
      box.textContent = point.text;
      box.hidden = false;
    }
    const at = point.mark.getBoundingClientRect();
    const left = at.left + at.width / 2 - box.offsetWidth / 2;
    const edge = document.documentElement.clientWidth - box.offsetWidth - 8;
    const above = at.top - box.offsetHeight - 10;
    box.style.left = `${window.scrollX + Math.max(8, Math.min(left, edge))}px`;
    box.style.top = `${window.scrollY + (above > 0 ? above : at.bottom + 10)}px`;
  }

  function nearest(drawing, x, y) {
    let best = null;
    let least = REACH;
    for (const point of points) {
      if (!drawing.contains(point.mark)) continue;
      const at = point.mark.getBoundingClientRect();
      const away = Math.hypot(at.left + at.width / 2 - x, at.top + at.height / 2 - y);
      if (away < least) [best, least] = [point, away];
    }
    return best;
  }

  for (const drawing of document.querySelectorAll(".drawing")) {
    const look = (event) => {
      const point = nearest(drawing, event.clientX, event.clientY);
      if (point) show(point);
      else hide();
    };
    drawing.addEventListener("pointermove", look);
    drawing.addEventListener("pointerdown", look);
    drawing.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") hide();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
})();
