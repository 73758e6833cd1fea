"use strict";
// Sorting, filters and the choice of columns. Everything is in the page already: nothing is loaded.
(() => {
  const form = document.getElementById("filters");
  const all = document.getElementById("all-columns");
  const cellValue = (row, place) => {
    const raw = row.cells[place].dataset.v;
    if (raw === undefined) return null;
    const number = Number(raw);
    return raw !== "" && Number.isFinite(number) ? number : raw;
  };
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null); // unknown values stay last
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  };

  function sort(button) {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const now = heading.getAttribute("aria-sort");
    const next = now ? (now === "ascending" ? "descending" : "ascending") : button.dataset.first;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      if (body.classList.contains("divider")) continue;
      const rows = Array.from(body.rows);
      rows.sort((a, b) => compare(cellValue(a, heading.cellIndex), cellValue(b, heading.cellIndex), sign));
      body.append(...rows);
    }
  }

  function wanted() {
    const chosen = {};
    for (const [key, value] of new FormData(form)) if (value) chosen[key] = value;
    return chosen;
  }

  function filter() {
    const chosen = wanted();
    let shown = 0;
    let total = 0;
    for (const group of document.querySelectorAll(".group")) {
      let here = 0;
      for (const row of group.querySelectorAll("tbody > tr[id]")) {
        const fits = Object.entries(chosen).every(([key, value]) =>
          key === "n" ? Number(row.dataset.n) >= Number(value) : row.dataset[key] === value);
        row.hidden = !fits;
        here += fits;
        total += 1;
      }
      for (const divider of group.querySelectorAll(".divider")) {
        divider.hidden = !group.querySelector(".unranked > tr:not([hidden])");
      }
      group.hidden = here === 0;
      shown += here;
    }
    for (const task of document.querySelectorAll("section.task")) {
      task.hidden = !task.querySelector(".group:not([hidden])");
    }
    document.getElementById("shown").textContent =
      shown === total ? `${total} row${total === 1 ? "" : "s"}` : `${shown} of ${total} rows`;
    const words = new URLSearchParams(chosen).toString();
    if (words || location.hash.includes("=")) history.replaceState(null, "", words ? `#${words}` : "#");
  }

  document.documentElement.classList.add("js");
  for (const part of document.querySelectorAll("form[hidden], .tools[hidden]")) part.hidden = false;
  for (const table of document.querySelectorAll("table")) {
    if (table.querySelector("tbody:not(.divider):not(.unranked)")) {
      table.querySelector("th[data-key=rank]").setAttribute("aria-sort", "ascending");
    }
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) sort(button);
    });
  }
  all.addEventListener("change", () => document.documentElement.classList.toggle("all", all.checked));
  document.documentElement.classList.toggle("all", all.checked);
  if (form) {
    if (location.hash.includes("=")) {
      for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
        const field = form.elements.namedItem(key);
        if (field) field.value = value;
      }
    }
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      document.documentElement.classList.remove("all");
      filter();
    }));
    filter();
  }
})();
