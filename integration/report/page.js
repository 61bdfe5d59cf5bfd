"use strict";
// Shows the values of the slice under the pointer, or the one that the arrow keys chose, and the fault under the pointer. They are those of
// the table below the picture.
(function () {
  const picture = document.getElementById("timeline");
  const cursor = document.getElementById("cursor");
  const values = document.getElementById("values");
  const rows = document.querySelectorAll("#slices tbody tr");
  const heads = document.querySelectorAll("#slices thead th");
  const left = Number(picture.dataset.left), right = Number(picture.dataset.right), count = Number(picture.dataset.slices);
  let chosen = -1;

  // The names of faults move from the browser's own boxes into ours, so that there are not two.
  const faults = new Map();
  picture.querySelectorAll(".bar").forEach(function (bar) {
    const title = bar.querySelector("title");
    faults.set(bar, title.textContent);
    title.remove();
  });

  // scale is how many pixels of the screen one of the picture takes.
  function scale() {
    return picture.getBoundingClientRect().width / picture.viewBox.baseVal.width;
  }

  function hide() {
    values.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  }

  function show(slice, y, fault) {
    chosen = Math.max(0, Math.min(count - 1, slice));
    const x = left + (right - left) * (chosen + 0.5) / count;
    cursor.setAttribute("transform", "translate(" + x + " 0)");
    cursor.setAttribute("visibility", "visible");
    const list = document.createElement("dl");
    Array.from(rows[chosen].cells).forEach(function (cell, i) {
      if (cell.textContent === "") return;
      list.appendChild(document.createElement("dt")).textContent = heads[i].textContent;
      list.appendChild(document.createElement("dd")).textContent = cell.textContent;
    });
    values.replaceChildren(list);
    if (fault) {
      const text = document.createElement("p");
      text.textContent = faults.get(fault);
      values.prepend(text);
    }
    values.hidden = false;
    place(picture.getBoundingClientRect().left + x * scale(), y);
  }

  // place puts the values beside a point of the screen, where there is room.
  function place(x, y) {
    const beside = x + 14 + values.offsetWidth < window.innerWidth ? x + 14 : x - 14 - values.offsetWidth;
    const above = Math.min(y + 14, window.innerHeight - values.offsetHeight - 8);
    values.style.transform = "translate(" + Math.max(4, beside) + "px," + Math.max(4, above) + "px)";
  }

  function follow(event) {
    const x = (event.clientX - picture.getBoundingClientRect().left) / scale();
    if (x < left || x > right) return hide();
    show(Math.floor((x - left) / (right - left) * count), event.clientY, event.target.closest(".bar"));
  }

  picture.setAttribute("tabindex", "0");
  picture.addEventListener("pointermove", follow);
  picture.addEventListener("pointerdown", follow);
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", function (event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (event.key === "Escape") return hide();
    if (!step) return;
    event.preventDefault();
    show(chosen + step, picture.getBoundingClientRect().top);
  });
})();
