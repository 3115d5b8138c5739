// Sorts, filters and searches the tables of a page. The state stands in the address, so that a view
// can be sent to somebody else; a table is whole and in its own order where no script runs.
(() => {
  "use strict";

  const build = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const listing = (box) => {
    const body = box.querySelector("tbody");
    const heads = [...box.querySelectorAll("thead th")];
    const names = heads.map((head) => head.textContent);
    const rows = [...body.rows].map((row) => ({
      row,
      groups: (row.dataset.groups || "").split(" "),
      texts: [...row.cells].map((cell) => cell.textContent),
      values: [...row.cells].map((cell) => ("v" in cell.dataset ? Number(cell.dataset.v) : null)),
      numeric: [...row.cells].map((cell) => cell.classList.contains("num")),
    }));
    rows.forEach((one) => (one.all = one.texts.join("\u0000").toLowerCase()));

    const search = build("input", { type: "search", name: "q" });
    const filters = new Map();
    heads.forEach((head, place) => {
      if (!("filter" in head.dataset)) return;
      const texts = new Set(rows.map((one) => one.texts[place]));
      if (texts.size < 2) return;
      const sorted = [...texts].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
      const select = build("select", { name: names[place] }, build("option", { value: "", textContent: "all" }));
      sorted.forEach((text) => select.append(build("option", { value: "=" + text, textContent: text || "(none)" })));
      filters.set(place, select);
    });
    const count = build("output", {});
    const reset = build("button", { type: "button", textContent: "Show all" });
    const controls = build("form", { className: "controls" }, build("label", {}, "Search", search));
    controls.setAttribute("role", "search");
    filters.forEach((select, place) => controls.append(build("label", {}, names[place], select)));
    controls.append(reset, count);
    box.prepend(controls);

    let order = { place: -1, descending: false };
    let group = "";

    const compare = (a, b) => {
      const { place, descending } = order;
      const turn = descending ? -1 : 1;
      if (a.numeric[place]) {
        const [x, y] = [a.values[place], b.values[place]];
        // what is not known comes last in both directions
        if (x === null || y === null) return (x === null) - (y === null);
        return turn * (x - y);
      }
      return turn * a.texts[place].localeCompare(b.texts[place], undefined, { numeric: true });
    };

    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((one) => {
        let there = words.every((word) => one.all.includes(word));
        filters.forEach((select, place) => {
          if (select.value && select.value.slice(1) !== one.texts[place]) there = false;
        });
        if (group && !one.groups.includes(group)) there = false;
        one.row.hidden = !there;
        shown += there;
      });
      count.textContent = `${shown} of ${rows.length} shown`;
    };

    const arrange = () => {
      const sorted = order.place < 0 ? rows : [...rows].sort(compare);
      body.append(...sorted.map((one) => one.row));
      heads.forEach((head, place) => {
        if (place !== order.place) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      });
    };

    const remember = () => {
      const state = new URLSearchParams();
      if (search.value) state.set("q", search.value);
      filters.forEach((select) => select.value && state.set(select.name, select.value.slice(1)));
      if (group) state.set("group", group);
      if (order.place >= 0) state.set("sort", (order.descending ? "-" : "") + names[order.place]);
      const text = state.toString();
      history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    };

    const recall = () => {
      const state = new URLSearchParams(location.hash.slice(1));
      search.value = state.get("q") || "";
      filters.forEach((select) => {
        select.value = state.has(select.name) ? "=" + state.get(select.name) : "";
        if (select.selectedIndex < 0) select.value = "";
      });
      group = state.get("group") || "";
      const sort = state.get("sort") || "";
      const descending = sort.startsWith("-");
      order = { place: names.indexOf(descending ? sort.slice(1) : sort), descending };
      arrange();
      show();
    };

    heads.forEach((head, place) => {
      const button = build("button", { type: "button", textContent: names[place] });
      button.addEventListener("click", () => {
        const again = order.place === place;
        // of numbers the highest is what one looks for first
        const first = head.classList.contains("num");
        order = { place, descending: again ? !order.descending : first };
        arrange();
        remember();
      });
      head.replaceChildren(button);
    });
    controls.addEventListener("submit", (event) => event.preventDefault());
    controls.addEventListener("input", () => {
      show();
      remember();
    });
    reset.addEventListener("click", () => {
      history.replaceState(null, "", location.pathname + location.search);
      recall();
    });
    window.addEventListener("hashchange", recall);
    recall();
  };

  document.querySelectorAll("[data-listing]").forEach(listing);
})();
