
"use strict";
(() => {
  const STEP = 25;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const about = read("about"), groups = read("data");
  const at = (id) => document.getElementById(id);
  const state = { kinds: new Set(), text: "", sort: "place", shown: STEP };

  // Texts go in as text, never as markup.
  const make = (tag, cls, text) => {
    const node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const figure = (value) => (value === null || value === undefined ? "-" : Number(value.toPrecision(4)).toString());

  const tags = (kinds, signs) => {
    const all = kinds.map((kind) => make("span", "tag warn", kind));
    for (const sign of signs || []) all.push(make("span", "tag", sign));
    return all;
  };

  const cellOf = (cell) => {
    const parts = [make("dt", "", cell.name)];
    const verdict = make("dd");
    const score = cell.score === null ? "no score" : figure(cell.score);
    verdict.append(score + " ", make("span", cell.kind === "verdict" ? "code" : "fault",
      cell.kind === "verdict" ? cell.code : cell.kind + ": " + cell.code));
    parts.push(verdict);
    if (cell.answer) parts.push(make("dd", "answer", "extracted: " + cell.answer));
    if (cell.note) parts.push(make("dd", "", cell.note));
    if (cell.evidence) {
      const details = make("details");
      details.append(make("summary", "", "evidence"), make("pre", "", cell.evidence));
      const holder = make("dd");
      holder.append(details);
      parts.push(holder);
    }
    return parts;
  };

  const rolloutOf = (rollout, low, high) => {
    const masked = rollout.reward === null;
    const end = masked ? "masked" : high > low && rollout.reward === high ? "best"
      : high > low && rollout.reward === low ? "worst" : "";
    const box = make("article", "rollout " + end);
    box.append(make("h4", "", rollout.id));
    const line = make("div", "", "reward " + figure(rollout.reward) + ", advantage " + figure(rollout.advantage)
      + (rollout.keep ? "" : ", filtered out"));
    const labels = make("div");
    labels.append(...tags(rollout.kinds, rollout.signs));
    const list = make("dl");
    for (const cell of rollout.cells) list.append(...cellOf(cell));
    box.append(line, labels, list);
    if (rollout.parts.length) {
      const text = make("pre", "response");
      if (rollout.parts.length === 1) text.textContent = rollout.parts[0];
      else text.append(rollout.parts[0], make("mark", "", rollout.parts[1]), rollout.parts[2]);
      box.append(text, make("div", "hint", rollout.length + " characters" + (rollout.finish ? ", " + rollout.finish : "")));
    }
    return box;
  };

  const bodyOf = (group) => {
    const body = make("div", "body");
    if (group.prompt) body.append(make("pre", "prompt", group.prompt));
    if (group.reference) {
      const details = make("details");
      details.append(make("summary", "", "reference"), make("pre", "", group.reference));
      body.append(details);
    }
    const rewards = group.rollouts.map((one) => one.reward).filter((one) => one !== null);
    const low = Math.min(...rewards), high = Math.max(...rewards);
    const side = make("div", "side");
    side.tabIndex = 0;
    side.append(...group.rollouts.map((one) => rolloutOf(one, low, high)));
    if (group.size > group.rollouts.length)
      body.append(make("p", "", "the first " + group.rollouts.length + " of " + group.size + " rollouts"));
    body.append(side);
    return body;
  };

  const groupOf = (group) => {
    const box = make("section", "group");
    const head = make("button");
    head.type = "button";
    head.setAttribute("aria-expanded", "false");
    head.append(make("span", "name", group.id), make("span", "", "mean " + figure(group.mean) + ", spread "
      + figure(group.spread) + ", " + group.size + " rollouts"), ...tags(group.kinds),
      make("span", "hint", (group.prompt || "").slice(0, 160)));
    head.addEventListener("click", () => {
      const open = box.querySelector(".body");
      if (open) open.remove(); else box.append(bodyOf(group));
      head.setAttribute("aria-expanded", String(!open));
    });
    box.append(head);
    return box;
  };

  const words = new Map();
  const textOf = (group) => {
    if (!words.has(group)) words.set(group, [group.id, group.prompt || "",
      ...group.rollouts.flatMap((one) => [one.id, ...one.parts])].join("\n").toLowerCase());
    return words.get(group);
  };
  const last = (value, sign) => (value === null || value === undefined ? Infinity : sign * value);
  const orders = {
    place: (one) => one.place, low: (one) => last(one.mean, 1), high: (one) => last(one.mean, -1),
    spread: (one) => last(one.spread, -1),
  };

  const show = () => {
    const key = orders[state.sort];
    const found = groups
      .filter((group) => [...state.kinds].every((kind) => group.kinds.includes(kind)))
      .filter((group) => !state.text || textOf(group).includes(state.text))
      .sort((one, other) => key(one) - key(other) || one.place - other.place);
    at("groups").replaceChildren(...found.slice(0, state.shown).map(groupOf));
    at("count").textContent = found.length + " of " + groups.length + " groups";
    at("more").hidden = found.length <= state.shown;
  };

  for (const [kind, says] of Object.entries(about.kinds)) {
    const here = groups.filter((group) => group.kinds.includes(kind)).length;
    const button = make("button", "", says.split(":")[0] + " (" + here
      + (about.found[kind] > here ? " of " + about.found[kind] : "") + ")");
    button.type = "button";
    button.title = says;
    button.dataset.kind = kind;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      if (!state.kinds.delete(kind)) state.kinds.add(kind);
      button.setAttribute("aria-pressed", String(state.kinds.has(kind)));
      state.shown = STEP;
      show();
    });
    at("filters").append(button);
  }
  at("rule").textContent = about.rule;
  at("search").addEventListener("input", (event) => {
    state.text = event.target.value.toLowerCase();
    state.shown = STEP;
    show();
  });
  at("sort").addEventListener("change", (event) => { state.sort = event.target.value; show(); });
  at("more").addEventListener("click", () => { state.shown += STEP; show(); });
  show();
})();
