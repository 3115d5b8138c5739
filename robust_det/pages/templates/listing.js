// Sorts, filters and searches the tables of a page. The state stands in the address, so that a view
// can be sent to somebody else; a table is whole and in its own order where no script runs.
(() => {
  "use strict";

  const build = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // By values where there are any, such as the eps of a backbone, and texts where these are equal.
  // What has no value comes last in both directions.
  const ascending = (text, value, otherText, otherValue, turn) => {
    if ((value === null) !== (otherValue === null)) return (value === null) - (otherValue === null);
    if (value !== otherValue) return turn * (value - otherValue);
    return turn * text.localeCompare(otherText, undefined, { numeric: true });
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
    }));
    rows.forEach((one) => (one.all = one.texts.join("\u0000").toLowerCase()));

    const search = build("input", { type: "search", name: "q" });
    const filters = new Map();
    heads.forEach((head, place) => {
      if (!("filter" in head.dataset)) return;
      const values = new Map(rows.map((one) => [one.texts[place], one.values[place]]));
      if (values.size < 2) return;
      const sorted = [...values.keys()].sort((a, b) => ascending(a, values.get(a), b, values.get(b), 1));
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
      return ascending(a.texts[place], a.values[place], b.texts[place], b.values[place], descending ? -1 : 1);
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
      const whose = group ? ": those of one line of the overview" : "";
      count.textContent = `${shown} of ${rows.length} shown${whose}`;
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
