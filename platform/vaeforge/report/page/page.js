"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const MOST_ROWS = 500;
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // figures: one panel after another, so that the page can be read meanwhile
  const panels = [...document.querySelectorAll(".panels")].flatMap(place =>
    [...place.children].map((panel, number) => ({ panel, ...figures[place.dataset.figure].panels[number] })));
  const theme = layout => {
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--soft") };
    const legend = { orientation: "h", y: -0.22, yanchor: "top", font: { size: 11 } };
    return {
      ...layout, legend, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 12 },
      margin: { l: 60, r: 12, t: layout.title ? 40 : 14, b: 50 }, hovermode: "closest",
      xaxis: { ...axis, ...layout.xaxis, automargin: true }, yaxis: { ...axis, ...layout.yaxis },
    };
  };
  const draw = one => {
    one.panel.dataset.drawn = "yes";
    try {
      Plotly.react(one.panel, one.data, theme(one.layout), { responsive: true, displayModeBar: false });
    } catch (error) { // the other figures are drawn all the same
      one.panel.textContent = `Could not be drawn: ${error}`;
      console.error(error);
    }
  };
  const drawNext = () => {
    const one = panels.find(each => !each.panel.dataset.drawn);
    if (one) { draw(one); setTimeout(drawNext); }
  };
  setTimeout(drawNext);
  addEventListener("beforeprint", () => panels.forEach(draw));
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => panels.filter(one => one.panel.dataset.drawn).forEach(draw));
  }

  // the data of each figure: a table when it is opened, and a file
  const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text ?? "" });
  const row = (kind, cells) => {
    const line = document.createElement("tr");
    line.append(...cells.map(text => cell(kind, text)));
    return line;
  };
  const quoted = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const save = (name, table) => {
    const lines = [table.columns, ...table.rows].map(cells => cells.map(text => quoted(String(text ?? ""))).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  for (const details of document.querySelectorAll("details[data-table]")) {
    details.addEventListener("toggle", () => {
      const name = details.dataset.table, table = figures[name].table;
      const shown = document.createElement("table"), head = document.createElement("thead"), body = document.createElement("tbody");
      head.append(row("th", table.columns));
      body.append(...table.rows.slice(0, MOST_ROWS).map(cells => row("td", cells)));
      shown.append(head, body);
      const place = Object.assign(document.createElement("div"), { className: "scroll", tabIndex: 0 });
      place.setAttribute("role", "region");
      place.setAttribute("aria-label", `Data: ${name}`);
      place.append(shown);
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Save as CSV" });
      button.addEventListener("click", () => save(name, table));
      const cut = table.rows.length > MOST_ROWS ? ` The first ${MOST_ROWS} of ${table.rows.length} rows are shown; the CSV holds all.` : "";
      const tools = cell("p", cut);
      tools.prepend(button);
      details.append(tools, place);
    }, { once: true });
  }

  // the ranked table: sorted by a click or Enter on a column, filtered by words that a row must all hold
  const table = document.getElementById("ranked"), body = table.tBodies[0], rows = [...body.rows];
  const valueOf = (line, place) => {
    const found = line.cells[place];
    return found.dataset.value === undefined ? found.textContent : Number(found.dataset.value);
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => {
      const [x, y] = [valueOf(a, place), valueOf(b, place)];
      return x === "" || y === "" ? compare(x, y) : (down ? -1 : 1) * compare(x, y);
    };
    body.append(...rows.sort(order));
  }));
  const filter = document.getElementById("filter"), count = document.getElementById("count");
  const texts = new Map(rows.map(line => [line, line.textContent.toLowerCase()]));
  const sift = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach(line => { line.hidden = !words.every(word => texts.get(line).includes(word)); });
    count.textContent = `${rows.filter(line => !line.hidden).length} of ${rows.length}`;
  };
  filter.addEventListener("input", sift);
  sift();
})();
