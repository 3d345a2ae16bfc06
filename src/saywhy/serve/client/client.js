// The client, for the page and for notebooks: `mount(root, api, options)`. It knows an API with the functions models, explain,
// predict, cite and render, and nothing of how they are reached. What is shown is built from nodes, never from markup.

const SAMPLE = "I love you, I like you, I also kinda dislike you";
const WAIT = 250; // milliseconds without a keystroke before the model is asked
const TOP = 10; // features in the table, and pairs among the arcs
const EVERY = "every label"; // the choice of a target that means all of them
const TARGETS = { // what a target is, where it is not a label of a short list
  "question-answering": "Target: start, end, or an answer in the context", "zero-shot-classification": "Target: one of the labels",
  "token-classification": "Target: a word, or its label", "fill-mask": "Target: a word for the gap", "text-generation": "Target: the continuation",
};
const FIRST_METHODS = ["integrated_gradients", "libra", "occlusion", "kernel_shap"]; // that a comparison offers first
const KEYS = ["each", "method", "target", "against", "unit", "by", "absent", "overlong"];

function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class" || name.includes("-") || name === "for" || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function signed(x, digits = 3) {
  if (!Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  const told = size !== 0 && (size >= 1e5 || size < 1e-3) ? size.toExponential(digits - 1) : String(Number(size.toPrecision(digits)));
  return `${x < 0 ? "−" : "+"}${told}`;
}
const percent = (p) => `${(100 * p).toFixed(1)}%`;
const quoted = (word) => `“${word.trim() || word}”`;
const chars = (text) => Array.from(text); // spans count characters, JavaScript's strings do not
const encode = (data) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(data)))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const decode = (text) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0))));

function download(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// ---- Python: the lines that do the same --------------------------------------------------------------------------------

function python(value) {
  if (value === null || value === undefined) return "None";
  if (value === true || value === false) return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`).join(", ")}}`;
  return JSON.stringify(value);
}

function code(about, body) {
  const { model, input, options, each_target: every, methods, ...settings } = body;
  let given = Array.isArray(input) ? `(${input.map(python).join(", ")})` : python(input);
  let imported = "import saywhy";
  if (input?.image) given = '"image.png"';
  if (input?.messages) {
    imported += "\nfrom saywhy.llm import Chat";
    given = `Chat(${python(input.messages)})`;
  }
  if (input?.template) {
    imported += "\nfrom saywhy.llm import Template";
    given = `Template(${[input.template, input.values, input.baselines].map(python).join(", ")})`;
  }
  const named = Object.entries({ ...settings, ...options }).map(([k, v]) => `${k}=${python(v)}`);
  if (methods) return `${imported}\n\n${about.code}\nfor method in ${python(methods)}:\n    print(explainer(${[given, "method=method", ...named].join(", ")}))`;
  return `${imported}\n\n${about.code}\nprint(explainer${every ? ".each_target" : ""}(${[given, ...named].join(", ")}))`;
}

// ---- what is given: the fields of each kind of input -------------------------------------------------------------------

const FIELDS = {
  text: [["text", "Text", 3], ["second", "Second text", 1, "A second text, for models of pairs"]],
  pair: [["text", "First text", 2], ["second", "Second text", 2]],
  question: [["question", "Question", 1], ["text", "Context, in which the answer stands", 3]],
  labels: [["text", "Text", 3], ["labels", "Labels to choose from, with commas between", 1]],
  prompt: [["text", "Prompt, with {slots} if you like", 3], ["slots", "Values of the slots, one a line: name=Ada instead of Bob", 1, "Values for {slots}"]],
  image: [["image", "Image file", 0]],
};

function fieldsOf(about) {
  if (about?.input === "row") return about.columns.map((name) => [name, name, 1]);
  const fields = FIELDS[about?.input ?? "text"];
  return about?.input === "text" && !readsPairs(about) ? fields.slice(0, 1) : fields;
}

const namesOf = (about) => [about?.chat, ...fieldsOf(about).map(([name, label]) => name + label)].join(); // a form is drawn anew only where these change
const ROLES = ["user", "assistant", "system"];
const readsPairs = (about) => about?.task === "text-classification"; // taggers and gaps have one text

function slotsOf(lines) {
  const values = {}, baselines = {};
  for (const line of lines.split("\n")) {
    const found = /^\s*([^=]+?)\s*=\s*(.*?)(?:\s+instead of\s+(.*))?$/.exec(line);
    if (found) [values[found[1]], baselines[found[1]]] = [found[2], found[3] ?? ""];
  }
  return { values, baselines };
}

function inputOf(about, fields) {
  const text = fields.text ?? "";
  switch (about?.input) {
    case "pair": return text.trim() && fields.second?.trim() ? [text, fields.second] : null;
    case "question": return text.trim() && fields.question?.trim() ? { question: fields.question, context: text } : null;
    case "labels": {
      const labels = (fields.labels ?? "").split(",").map((label) => label.trim()).filter(Boolean);
      return text.trim() && labels.length ? { text, labels } : null;
    }
    case "image": return fields.image ? { image: fields.image } : null;
    case "row": return Object.fromEntries(about.columns.map((name) => [name, rowValue(fields[name] ?? "")]));
    case "prompt": {
      const slots = slotsOf(fields.slots ?? "");
      if (about.chat && fields.messages) {
        const messages = fields.messages.filter((each) => each.content.trim());
        return messages.length ? { messages } : null;
      }
      if (!text.trim()) return null;
      return Object.keys(slots.values).length ? { template: text, ...slots } : text;
    }
    default: return text.trim() ? (readsPairs(about) && fields.second?.trim() ? [text, fields.second] : text) : null;
  }
}

const rowValue = (text) => (text.trim() === "" ? null : Number.isFinite(Number(text)) ? Number(text) : text);

// ---- an explanation as nodes -------------------------------------------------------------------------------------------

const badge = (told) => (told ? h("span", { class: `badge ${told.kind}` }, told.text) : null);
const largest = (e) => Math.max(...e.scores.map(Math.abs), 1e-12);

function tint(node, score, limit) {
  const a = Math.min(1, Math.abs(score) / limit);
  node.classList.remove("up", "down");
  node.classList.add(score >= 0 ? "up" : "down");
  node.classList.toggle("faint", a < 0.12);
  node.style.setProperty("--a", a.toFixed(3));
  return node;
}

function pieces(e) {
  // [part, [[text, feature or null], …]] of each part, and the features that stand nowhere
  const parts = Object.entries(e.texts).map(([part, text]) => {
    const all = chars(text), found = [];
    e.features.forEach((f, i) => {
      if (f.part === part && f.span && !f.box) for (const span of f.spans ?? [f.span]) found.push([...span, i]);
    });
    found.sort((a, b) => a[0] - b[0]);
    const out = [];
    let at = 0;
    for (const [start, end, i] of found) {
      if (start > at) out.push([all.slice(at, start).join(""), null]);
      out.push([all.slice(start, end).join(""), i]);
      at = end;
    }
    if (at < all.length) out.push([all.slice(at).join(""), null]);
    return [part, out];
  });
  const loose = e.features.map((f, i) => [f, i]).filter(([f]) => !f.box && (!f.span || !(f.part in e.texts))).map(([, i]) => i);
  return [parts, loose];
}

function pairsOf(e) {
  const scores = e.pairs?.scores?.SII;
  if (!scores) return [];
  const n = e.features.length, out = [];
  for (let i = 0, p = 0; i < n; i++) for (let j = i + 1; j < n; j++, p++) out.push([scores[p], i, j]);
  return out.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, TOP);
}

function arcs(holder, words, pairs) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
  svg.setAttribute("aria-hidden", "true");
  holder.querySelector("svg")?.remove();
  holder.classList.toggle("arced", pairs.length > 0);
  const origin = holder.getBoundingClientRect(), most = Math.max(...pairs.map(([s]) => Math.abs(s)), 1e-12);
  for (const [score, i, j] of pairs) {
    if (!words[i] || !words[j]) continue;
    const [a, b] = [words[i], words[j]].map((w) => w.getClientRects()[0] ?? w.getBoundingClientRect());
    const [x1, x2] = [a, b].map((r) => r.left + r.width / 2 - origin.left), [y1, y2] = [a, b].map((r) => r.top - origin.top);
    const top = Math.min(y1, y2) - 12 - Math.min(34, Math.abs(x2 - x1) / 6);
    const path = document.createElementNS(ns, "path");
    path.setAttribute("d", `M${x1.toFixed(1)} ${y1.toFixed(1)}Q${((x1 + x2) / 2).toFixed(1)} ${top.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`);
    path.setAttribute("class", `arc ${score < 0 ? "down" : "up"}${Math.abs(y1 - y2) > 4 ? " far" : ""}`);
    path.style.setProperty("--a", (Math.abs(score) / most).toFixed(3));
    svg.append(path);
  }
  if (pairs.length) holder.append(svg);
}

function table(headings, rows, caption) {
  const cell = (kind, value, i) => (value instanceof Node && value.tagName === "TD" ? value
    : h(kind, { class: typeof value === "string" && /^[+−–\d]/.test(value) ? "number" : i ? "" : "label" }, value));
  const head = h("tr", {}, ...headings.map((text) => h("th", { scope: "col" }, text)));
  return h("div", { class: "wide", tabIndex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((v, i) => cell("td", v, i)))))));
}

function barTable(e) {
  const limit = largest(e);
  const order = e.scores.map((score, i) => [score, i]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, TOP);
  const rows = order.map(([score, i]) => {
    const bar = h("span", { class: `bar ${score < 0 ? "down" : "up"}` });
    bar.style.setProperty("--a", (Math.abs(score) / limit).toFixed(3));
    const error = e.stderr ? ` ± ${Number(e.stderr[i].toPrecision(2))}` : "";
    return [e.features[i].label, `${signed(score)}${error}`, h("span", { class: "track", "aria-hidden": "true" }, bar)];
  });
  const more = e.scores.length > TOP ? `, the ${TOP} largest of ${e.scores.length}` : "";
  return table(["feature", `score, ${e.target.unit}`, "lowers | raises"], rows, `Scores${more}`);
}

// Explanations of one input beside each other: their scores, each on its own scale, how each adds up and how far to believe it
function besides({ explanations, shown }, names, caption) {
  const rows = explanations[0].features.map((f, i) => [f.label, ...explanations.map((e, k) => (e.features[i]?.label === f.label
    ? tint(h("td", { class: "cell number" }, signed(e.scores[i])), e.scores[i], shown[k].colour_end || 1) : "–"))]);
  const foot = (name, of) => [name, ...explanations.map((e, k) => h("td", { class: "cell number" }, of(e, shown[k])))];
  const sum = (e) => e.scores.reduce((total, score) => total + score, 0);
  return table(["feature", ...names], [...rows, foot("sum of scores", (e) => signed(sum(e))),
    foot(`value − base`, (e) => `${signed(e.value - e.base)}`), foot("trust", (_, told) => badge(told.badge) ?? ""),
    foot("model inputs", (e) => String(e.cost.rows))], caption);
}

function correlation(x, y) {
  const mean = (v) => v.reduce((s, z) => s + z, 0) / v.length, centred = (v) => v.map((z) => z - mean(v));
  const [u, w] = [centred(x), centred(y)], dot = (p, q) => p.reduce((s, z, i) => s + z * q[i], 0);
  return dot(u, w) / Math.sqrt(dot(u, u) * dot(w, w) || 1);
}

const alike = (x, y) => x.features.length === y.features.length && x.features.every((f, i) => f.label === y.features[i].label);

// How the scores of several methods go together, each with each
function agreement(explanations) {
  const cells = explanations.map((x) => explanations.map((y) => (alike(x, y) && x.features.length > 2 ? correlation(x.scores, y.scores) : null)));
  const rows = explanations.map((x, i) => [x.method, ...cells[i].map((r) => h("td", { class: "cell number" }, r === null ? "–" : r.toFixed(2).replace("-", "−")))]);
  return table(["method", ...explanations.map((e) => e.method)], rows, "Correlation of the scores of each two methods");
}

// ---- one panel: an input, its settings, its explanation ----------------------------------------------------------------

class Panel {
  constructor(page, saved) {
    this.page = page;
    this.fields = structuredClone({ text: SAMPLE, ...saved?.fields });
    this.settings = { ...saved?.settings };
    this.model = saved?.model ?? null;
    this.off = new Set(saved?.off ?? []);
    this.form = h("div", { class: "fields" });
    this.choices = h("div", { class: "settings" });
    this.status = h("div", { class: "status", role: "status" });
    this.result = h("div", {});
    this.node = h("section", { class: "box", "aria-label": "Explanation" }, this.form, this.choices, this.status, this.result);
    this.drawForm();
    this.drawChoices();
  }

  get about() {
    return this.page.models.find((m) => m.name === this.model) ?? this.page.models[0];
  }

  get body() {
    const about = this.about, { target, each, ...settings } = this.settings, input = inputOf(about, this.fields);
    if (input === null) return null;
    const every = target === EVERY || each === "every";
    if (every) delete settings.against; // every target is explained as it is
    const kept = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== "" && value !== undefined));
    return { ...(about ? { model: about.name } : {}), input, ...kept, ...(target && !every ? { target } : {}), ...(every ? { each_target: true } : {}) };
  }

  drawForm() {
    const fields = fieldsOf(this.about);
    const field = ([name, label, rows]) => h("label", {}, label, rows === 0
      ? h("input", { type: "file", accept: "image/*", onchange: (event) => this.readImage(event.target.files[0]) })
      : h("textarea", { rows, class: rows === 1 ? "low" : "", value: this.fields[name] ?? "", spellcheck: false, dir: "auto",
        oninput: (event) => this.typed(name, event.target.value) }));
    const shown = this.chats ? this.turns() : fields.map((each) => (each[3] && !this.fields[each[0]]
      ? h("details", {}, h("summary", {}, each[3]), field(each)) : field(each)));
    this.form.replaceChildren(...shown, ...(this.about?.chat ? [this.promptOrChat()] : []));
    this.formOf = namesOf(this.about);
  }

  get chats() {
    return Boolean(this.about?.chat && this.fields.messages);
  }

  // A conversation: the role and the words of each turn
  turns() {
    const turns = this.fields.messages, changed = () => this.typed("messages", turns);
    const redraw = (focused) => { changed(); this.drawForm(); this.form.querySelectorAll(".turn textarea")[focused]?.focus(); };
    return turns.map((turn, i) => h("div", { class: "turn" },
      h("label", {}, `Role, turn ${i + 1}`, h("select", { onchange: (event) => { turn.role = event.target.value; changed(); } },
        ...ROLES.map((role) => h("option", { value: role, selected: role === turn.role }, role)))),
      h("label", {}, `Words of turn ${i + 1}`, h("textarea", { rows: 1, class: "low", value: turn.content, spellcheck: false, dir: "auto",
        oninput: (event) => { turn.content = event.target.value; changed(); } })),
      turns.length > 1 ? h("button", { type: "button", "aria-label": `Remove turn ${i + 1}`, onclick: () => { turns.splice(i, 1); redraw(Math.max(0, i - 1)); } }, "Remove") : null,
    )).concat(h("div", {}, h("button", { type: "button", onclick: () => {
      turns.push({ role: turns.at(-1).role === "user" ? "assistant" : "user", content: "" });
      redraw(turns.length - 1);
    } }, "Add a turn")));
  }

  promptOrChat() {
    const change = () => {
      if (this.chats) {
        delete this.fields.messages;
        if (this.settings.by === "message") delete this.settings.by;
      } else this.fields.messages = [{ role: "user", content: this.fields.text ?? "" }];
      this.off.clear();
      this.drawForm();
      this.drawChoices();
      this.explain();
    };
    return h("div", {}, h("button", { type: "button", onclick: change }, this.chats ? "One prompt instead" : "A conversation instead"));
  }

  async readImage(file) {
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    this.typed("image", btoa(text), 0);
  }

  typed(name, value, wait = WAIT) {
    this.fields[name] = value;
    this.off.clear();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.explain(), wait);
  }

  drawChoices() {
    const about = this.about, labels = about?.labels ?? [];
    const select = (name, label, values, first = "by default") => h("label", {}, label, h("select", {
      onchange: (event) => this.chosen(name, event.target.value),
    }, h("option", { value: "" }, first), ...values.map(([value, text]) => h("option", { value, selected: this.settings[name] === value }, text ?? value))));
    const free = (name, label) => h("label", {}, label, h("input", { type: "text", value: this.settings[name] ?? "",
      onchange: (event) => this.chosen(name, event.target.value) }));
    const own = labels.length && ["text-classification", "image-classification"].includes(about?.task);
    const models = this.page.models.map((m) => h("option", { value: m.name, selected: m.name === about?.name }, m.name + (m.state === "ready" ? "" : ` (${m.state})`)));
    const one = (values) => values.map((value) => [value]);
    this.choices.replaceChildren(...[
      h("label", {}, "Model", h("select", { onchange: (event) => this.chosen("model", event.target.value) }, ...models)),
      ...(about?.input === "pair" ? [] : own ? [
        select("target", "Target", [...one(labels), ...(labels.length > 1 ? [[EVERY]] : [])], "the prediction"), select("against", "Rather than", one(labels), "nothing"),
      ] : [
        free("target", TARGETS[about?.task] ?? "Target"), free("against", "Rather than"),
        about ? select("each", "Targets", [["every", "every one"]], "this one") : null,
      ]),
      select("method", "Method", (about?.methods ?? []).map((m) => [m.name])),
      select("unit", "Unit", one(about?.units ?? [])),
      select("by", "Features", one((about?.by ?? []).filter((each) => each !== "message" || this.chats))),
      select("absent", "Baseline value", one(about?.absent ?? [])),
      about?.input === "image" ? null : select("overlong", "A text that is too long", one(["refuse", "truncate", "window"])),
    ].filter((node) => node !== null));
  }

  chosen(name, value) {
    if (name === "model") {
      this.model = value;
      for (const key of KEYS) delete this.settings[key];
      if (this.formOf !== namesOf(this.about)) this.drawForm();
      this.drawChoices();
    } else if (value === "") delete this.settings[name];
    else this.settings[name] = value;
    this.off.clear();
    this.explain();
  }

  say(text, kind = "", more = []) {
    this.status.className = `status ${kind}`;
    this.status.replaceChildren(h("span", {}, text), ...more);
  }

  async explain() {
    clearTimeout(this.timer);
    this.running?.abort();
    const body = this.body;
    if (body === null) return this.say("Type or paste a text, and fill in what stands beside it.");
    const running = this.running = new AbortController(), started = performance.now();
    const cancel = h("button", { type: "button", onclick: () => { running.abort(); this.say("Cancelled."); } }, "Cancel");
    const bar = h("progress", { "aria-label": "Model inputs answered" });
    const slow = setTimeout(() => this.say("Working …", "", [bar, cancel]), 300);
    const progress = (told) => {
      if (told.expected) [bar.max, bar.value] = [told.expected, Math.min(told.rows, told.expected)];
      if (told.model === "loading") this.say("The model is loading …", "", [cancel]);
    };
    try {
      const answer = await this.page.api.explain(body, { signal: running.signal, progress });
      if (running.signal.aborted) return;
      this.asked = body;
      this.answer = answer;
      this.say(`${((performance.now() - started) / 1000).toFixed(2)} s`);
      this.draw();
      this.page.explained(this);
    } catch (error) {
      if (error.name !== "AbortError" && this.running === running) this.say(error.message, "error");
    } finally {
      clearTimeout(slow);
    }
  }

  draw() {
    const e = this.answer.explanations[0], items = this.answer.explanations;
    if (!e) return this.result.replaceChildren(h("p", {}, "There is nothing to explain."));
    this.words = [];
    this.moved = h("div", { class: "toggle", role: "status" });
    this.said = h("div", { class: "said", "aria-hidden": "true" }, this.hint);
    this.extra = h("div", {});
    const single = items.length === 1, { headline, shown: [told] } = this.answer, small = (text) => h("p", { class: "small" }, text);
    this.end = told.colour_end || 1;
    this.result.replaceChildren(...[
      h("div", { class: "head" }, h("h2", {}, headline.sentence), badge(headline.badge)),
      single && small(`${e.target.label}: ${signed(e.value)} ${e.target.unit}; with every feature absent ${signed(e.base)}; ${e.method}, ${e.cost.rows} model inputs.`),
      single ? this.drawText(e) : besides(this.answer, items.map((each) => each.target.label), "The scores of every target"),
      single ? this.said : null, single ? this.moved : null, single && told.pale ? small(told.pale) : null, single ? barTable(e) : null,
      single && told.reason ? small(`Trust: ${told.reason}.`) : null,
      ...e.notes.map(small),
      h("details", {}, h("summary", {}, "What these numbers mean"), ...told.means.map(small)),
      this.drawPairs(e, single), this.drawActions(single), this.extra,
    ].filter(Boolean));
    if (single) {
      const shown = single && pairsOf(e);
      if (shown.length && !e.image) this.page.follow(this.holder, () => arcs(this.holder, this.words, shown));
      this.drawMoved(null);
      if (this.off.size) this.toggled();
    }
  }

  get hint() {
    return "Click a word, or press the space bar on it, to switch it off and on; arrow keys move along the text.";
  }

  drawText(e) {
    const limit = this.end, order = [];
    const word = (text, i, kind = "word") => {
      const made = h("button", { type: "button", class: kind, tabIndex: -1, "aria-pressed": String(!this.off.has(i)),
        "aria-label": `${(text || e.features[i].label).trim() || "space"}, ${signed(e.scores[i])}`, onclick: () => this.flip(i),
        onmouseenter: () => this.tell(e, i), onfocus: (event) => { this.tell(e, i); this.stop(order, event.target); } }, text);
      made.feature = i;
      order.push(made);
      this.words[i] ??= made;
      return tint(made, e.scores[i], limit);
    };
    const [parts, loose] = pieces(e), out = [];
    for (const [part, found] of parts) {
      if (parts.length > 1) out.push(h("div", { class: "part" }, part));
      const here = found.map(([text, i]) => (i === null ? document.createTextNode(text) : word(text, i)));
      out.push(h("div", { class: "text", dir: "auto" }, ...here));
    }
    if (e.image) out.push(this.drawImage(e, word));
    if (loose.length) out.push(h("div", {}, ...loose.map((i) => word(e.features[i].label, i, "word chip"))));
    const bar = h("div", { role: "toolbar", "aria-label": `The ${e.features.length} features, in order: ${this.hint}`,
      onkeydown: (event) => this.move(event, order) }, ...out);
    this.holder = bar.querySelector(".text") ?? bar;
    if (order.length) order[0].tabIndex = 0;
    return bar;
  }

  drawImage(e, word) {
    const stage = h("div", { class: "stage" }, h("img", { src: `data:image/png;base64,${e.image.png}`, alt: "The image that is explained" }));
    const [width, height] = e.image.size;
    e.features.forEach((f, i) => {
      if (!f.box || e.features.length > 1200) return;
      const [left, top, right, bottom] = f.box, made = word("", i);
      Object.assign(made.style, { left: `${100 * left / width}%`, top: `${100 * top / height}%`,
        width: `${100 * (right - left) / width}%`, height: `${100 * (bottom - top) / height}%` });
      made.style.setProperty("--a", (0.75 * Number(made.style.getPropertyValue("--a"))).toFixed(3));
      stage.append(made);
    });
    return stage;
  }

  stop(order, chosen) {
    for (const each of order) each.tabIndex = each === chosen ? 0 : -1;
  }

  move(event, order) {
    const at = order.indexOf(document.activeElement?.getRootNode().activeElement ?? event.target);
    const here = at < 0 ? order.indexOf(event.target) : at;
    const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    order[Math.max(0, Math.min(order.length - 1, to))].focus();
  }

  tell(e, i) {
    this.said.textContent = `${quoted(e.features[i].label)} ${e.scores[i] < 0 ? "lowers" : "raises"} ${e.target.label} by ${signed(Math.abs(e.scores[i])).slice(1)} ${e.target.unit}`;
  }

  // ---- words off and on ------------------------------------------------------------------------------------------------

  flip(i) {
    if (!this.off.delete(i)) this.off.add(i);
    this.toggled();
  }

  // What words off are asked with: the explained target stays, and features that the first pass chose are given by their spans
  get problem() {
    const { each_target: _, trust: __, ...body } = this.asked, e = this.answer.explanations[0];
    if (body.by !== "focus") return body;
    const spans = {};
    for (const f of e.features) (spans[f.part] ??= []).push(f.spans ?? [f.span]);
    return { ...body, by: spans };
  }

  async toggled() {
    const started = performance.now(), e = this.answer.explanations[0];
    for (const each of this.result.querySelectorAll(".word")) each.setAttribute("aria-pressed", String(!this.off.has(each.feature)));
    this.predicting?.abort();
    const predicting = this.predicting = new AbortController();
    const off = [...this.off].sort((a, b) => a - b);
    if (!off.length) this.drawMoved(null);
    try {
      if (off.length) {
        const answer = await this.page.api.predict({ ...this.problem, absent_features: [off] }, { signal: predicting.signal });
        if (predicting.signal.aborted || this.answer.explanations[0] !== e) return;
        this.drawMoved(answer.numbers[0]);
      }
      this.page.remember();
      this.node.dataset.redraw = (performance.now() - started).toFixed(1);
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message, "error");
    }
  }

  drawMoved(now) {
    const e = this.answer.explanations[0], unit = e.target.unit;
    if (now === null) return this.moved.replaceChildren(h("span", { class: "small" }, "All words are on."));
    const taken = [...this.off].reduce((sum, i) => sum + e.scores[i], 0);
    const flips = now.prediction !== null && now.prediction !== e.prediction;
    const back = h("button", { type: "button", onclick: () => { this.off.clear(); this.toggled(); } }, "All on");
    return this.moved.replaceChildren(
      h("p", {}, `${e.target.label} is now `, h("b", {}, `${signed(now.value)} ${unit}`), `, before ${signed(e.value)}: it moved by ${signed(now.value - e.value)}; the scores predicted ${signed(-taken)}.`),
      h("p", {}, now.prediction === null ? "" : `The model ${flips ? "now says" : "still says"} ${now.prediction}${now.probability === null ? "" : ` (${percent(now.probability)})`}.`, " ", back));
  }

  // ---- pairs, variants, files ------------------------------------------------------------------------------------------

  drawPairs(e, single) {
    const found = single ? pairsOf(e) : [];
    if (!found.length) return null;
    const rows = found.map(([score, i, j]) => [`${e.features[i].label} + ${e.features[j].label}`, signed(score)]);
    return h("details", {}, h("summary", {}, `Pairs: what two features do together beyond what each does alone (arcs above the text)`),
      table(["pair", e.target.unit], rows, "The strongest pairs"));
  }

  drawActions(single) {
    const button = (text, onclick) => h("button", { type: "button", onclick }, text);
    const save = (kind) => button(kind.toUpperCase(), () => this.save(kind));
    return h("div", { class: "row", role: "group", "aria-label": "More" },
      single ? button("Without each feature", () => this.variants()) : null,
      single ? button("Compare methods", () => this.chooseMethods()) : null,
      button("Code for this", () => this.extra.replaceChildren(h("h3", {}, "The same in Python"), h("pre", { tabIndex: 0 }, code(this.about, this.asked)))),
      this.page.state ? button("Link to this", () => this.page.copyLink(this)) : null,
      h("span", { class: "small" }, "Save as"), save("html"), save("png"), save("svg"), save("json"));
  }

  async variants() {
    const e = this.answer.explanations[0], n = Math.min(e.features.length, 200);
    try {
      const sets = Array.from({ length: n }, (_, i) => [i]);
      const { numbers } = await this.page.api.predict({ ...this.problem, absent_features: sets });
      const order = numbers.map((now, i) => [e.value - now.value, now, i]).sort((a, b) => b[0] - a[0]);
      const rows = order.map(([fall, now, i]) => [e.features[i].label, signed(-fall), signed(-e.scores[i]),
        now.prediction === null ? "" : now.prediction === e.prediction ? now.prediction : `${now.prediction} (another)`]);
      this.extra.replaceChildren(h("h3", {}, "Without each feature in turn"),
        table(["without", `${e.target.label} moves by, ${e.target.unit}`, "its score predicted", "the model then says"], rows, "Without each feature in turn"));
    } catch (error) {
      this.say(error.message, "error");
    }
  }

  // Which methods shall be held beside each other: some are ticked already
  chooseMethods() {
    if (!this.about?.methods) return this.say("The model is loading …");
    const names = this.about.methods.map((m) => m.name), now = this.answer.explanations[0].method;
    const ticked = new Set([now, ...FIRST_METHODS].filter((name) => names.includes(name)));
    const boxes = names.map((name) => h("input", { type: "checkbox", value: name, checked: ticked.has(name) }));
    const shown = h("div", {}), status = h("div", { class: "status", role: "status" });
    const ask = () => this.compareMethods(boxes.filter((box) => box.checked).map((box) => box.value), shown, status);
    this.extra.replaceChildren(h("h3", {}, "Methods on the same target"),
      h("div", { class: "ticks", role: "group", "aria-label": "Methods" }, ...boxes.map((box) => h("label", {}, box, ` ${box.value}`))),
      h("div", { class: "row" }, h("button", { type: "button", onclick: ask }, "Compare")), status, shown);
    return ask();
  }

  async compareMethods(methods, shown, status) {
    this.comparing?.abort();
    if (methods.length < 2) return status.replaceChildren("Tick two methods or more.");
    const comparing = this.comparing = new AbortController(), { method: _, options: __, each_target: ___, ...body } = this.asked;
    const e = this.answer.explanations[0], asked = { ...body, methods };
    status.replaceChildren("Working …", h("button", { type: "button", onclick: () => { comparing.abort(); status.replaceChildren("Cancelled."); } }, "Cancel"));
    try {
      const answer = await this.page.api.explain(asked, { signal: comparing.signal, progress: () => {} });
      if (comparing.signal.aborted || this.answer.explanations[0] !== e) return;
      status.replaceChildren();
      const found = answer.explanations, place = h("div", {}), several = found.length > 1;
      const python = h("button", { type: "button", onclick: () => place.replaceChildren(h("pre", { tabIndex: 0 }, code(this.about, asked))) }, "Code for these");
      shown.replaceChildren(...[
        h("p", {}, answer.headline.sentence), besides(answer, found.map((each) => each.method), "The scores of every method"),
        several ? h("h3", {}, "How far they agree") : null,
        several ? h("p", { class: "small" }, "The correlation of the scores of each two methods: 1 is the same order and proportions, 0 nothing in common.") : null,
        several ? agreement(found) : null, ...answer.refused.map((each) => h("p", { class: "small" }, `${each.method} cannot explain this: ${each.message}`)),
        h("div", { class: "row" }, python, h("span", { class: "small" }, "Save these as"),
          ...["html", "png", "svg", "json"].map((kind) => h("button", { type: "button", onclick: () => this.save(kind, answer) }, kind.toUpperCase()))), place,
      ].filter((node) => node !== null));
    } catch (error) {
      if (error.name !== "AbortError") status.replaceChildren(error.message);
    }
  }

  async save(kind, answer = this.answer) {
    try {
      const { format, version, single, explanations } = answer, file = { format, version, single, explanations };
      const blob = kind === "json" ? new Blob([JSON.stringify(file, null, 1)], { type: "application/json" })
        : await this.page.api.render({ ...file, as: kind });
      download(blob, `why.${kind}`);
    } catch (error) {
      this.say(error.message, "error");
    }
  }

  get state() {
    return { fields: this.fields, settings: this.settings, model: this.model, off: [...this.off] };
  }

  get saved() {
    const { image: _, ...fields } = this.fields; // a picture is too long for a link
    return { ...this.state, fields };
  }

  restore(saved) {
    Object.assign(this, { fields: structuredClone({ ...saved.fields }), settings: { ...saved.settings }, model: saved.model, off: new Set(saved.off) });
    this.drawForm();
    this.drawChoices();
    return this.explain();
  }
}

// ---- citations: which sentence of which document stands behind an answer -----------------------------------------------

function citations(page) {
  const fields = {}, status = h("div", { class: "status", role: "status" }), result = h("div", {});
  const area = (name, label, rows) => h("label", {}, label, fields[name] = h("textarea", { rows, class: rows < 2 ? "low" : "" }));
  let running = null;
  const models = h("select", {});
  page.listWriters = () => {
    const names = page.models.filter((m) => m.input === "prompt").map((m) => m.name), chosen = models.value;
    models.replaceChildren(...names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
  };
  const save = async (found, kind) => {
    try {
      download(kind === "json" ? new Blob([JSON.stringify(found, null, 1)], { type: "application/json" }) : await page.api.render({ ...found, as: kind }), `sources.${kind}`);
    } catch (error) {
      status.replaceChildren(error.message);
    }
  };
  const ask = async () => {
    const documents = fields.documents.value.split(/\n\s*\n/).map((text) => text.trim()).filter(Boolean);
    const body = { model: models.value, question: fields.question.value, documents, ...(fields.answer.value.trim() ? { answer: fields.answer.value } : {}) };
    running?.abort();
    const mine = running = new AbortController(), bar = h("progress", { "aria-label": "Model inputs answered" });
    const cancel = h("button", { type: "button", onclick: () => { mine.abort(); status.replaceChildren("Cancelled."); } }, "Cancel");
    status.replaceChildren("Working …", bar, cancel);
    const progress = (told) => { if (told.expected) [bar.max, bar.value] = [told.expected, Math.min(told.rows, told.expected)]; };
    try {
      const found = await page.api.cite(body, { signal: mine.signal, progress });
      if (mine.signal.aborted) return;
      status.replaceChildren();
      const written = `import saywhy\n\n${page.models.find((m) => m.name === models.value).code}\n`
        + `print(saywhy.cite(${["explainer", python(body.question), python(documents), ...(body.answer ? [python(body.answer)] : [])].join(", ")}))`;
      const place = h("div", {}), show = h("button", { type: "button", onclick: () => place.replaceChildren(h("pre", { tabIndex: 0 }, written)) }, "Code for these sources");
      result.replaceChildren(h("h3", {}, found.written ? "The model's answer" : "The answer"), ...found.statements.map((s) => h("div", {},
        h("p", {}, s.text.trim(), " ", h("span", { class: `badge ${s.sources.length ? "high" : "low"}` }, s.verdict)),
        ...s.sources.map((source) => h("p", { class: "small" }, `document ${source.document}, ${signed(source.score)} nats: ${source.text}`)))),
      h("div", { class: "row" }, show, h("span", { class: "small" }, "Save as"),
        ...[["html", "HTML"], ["md", "Markdown"], ["json", "JSON"]].map(([kind, name]) => h("button", { type: "button", onclick: () => save(found, kind) }, name))), place);
    } catch (error) {
      if (error.name !== "AbortError") status.replaceChildren(error.message);
    }
  };
  return h("details", { class: "box under" }, h("summary", {}, "Citations: which sentences of documents stand behind an answer"),
    h("div", { class: "fields" }, h("label", {}, "Model that answers", models), area("question", "Question", 1), area("documents", "Documents, with a blank line between", 4),
      area("answer", "Answer (left empty, the model writes it)", 2)),
    h("div", { class: "row" }, h("button", { type: "button", onclick: ask }, "Find the sources")), status, result);
}

// ---- two side by side --------------------------------------------------------------------------------------------------

function difference(one, other) {
  const [a, b] = [one.answer?.explanations, other.answer?.explanations];
  if (a?.length !== 1 || b?.length !== 1) return null;
  const [x, y] = [a[0], b[0]];
  const said = `${x.target.label} ${signed(x.value)} ${x.target.unit} on the left, ${y.target.label} ${signed(y.value)} ${y.target.unit} on the right.`;
  if (!alike(x, y) || x.features.length < 3) return h("p", {}, said);
  const agree = correlation(x.scores, y.scores);
  const order = x.features.map((f, i) => [f.label, x.scores[i], y.scores[i]]).sort((p, q) => Math.abs(q[1] - q[2]) - Math.abs(p[1] - p[2]));
  return h("div", {}, h("p", {}, `${said} The scores correlate by ${agree.toFixed(2)}.`),
    table(["feature", "left", "right", "difference"], order.slice(0, TOP).map(([f, p, q]) => [f, signed(p), signed(q), signed(q - p)]), "Where the two differ most"));
}

// ---- the page ----------------------------------------------------------------------------------------------------------

export function mount(root, api, { state = null, heading = false, text = null } = {}) {
  const page = { api, state, models: [], panels: [], past: [] };
  const saved = (() => { try { return state?.read() ? decode(state.read()) : null; } catch { return null; } })();
  root.classList.add("saywhy");
  const panels = h("div", { class: "panels" }), differs = h("section", { class: "box under", "aria-label": "Comparison", hidden: true });
  const past = h("ol", { class: "history" }), other = h("div", {});
  const history_ = h("details", { class: "box under" }, h("summary", {}, "History since this page was opened"), past);
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const theme = h("button", { type: "button", onclick: () => { root.dataset.theme = dark() ? "light" : "dark"; label(); } });
  const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  const beside = h("button", { type: "button", onclick: () => compare() }, "Two side by side");
  label();

  function compare() {
    if (page.panels.length === 2) page.panels.pop().node.remove();
    else add(structuredClone(page.panels[0].state));
    layout();
    page.panels[1]?.explain();
    page.remember();
  }
  function layout() {
    panels.classList.toggle("two", page.panels.length === 2);
    beside.textContent = page.panels.length === 2 ? "One alone" : "Two side by side";
    if (page.panels.length < 2) differs.hidden = true;
    page.panels.forEach((panel, i) => panel.node.setAttribute("aria-label", page.panels.length < 2 ? "Explanation" : i ? "Right explanation" : "Left explanation"));
  }
  function add(from) {
    const panel = new Panel(page, from);
    page.panels.push(panel);
    panels.append(panel.node);
  }
  // arcs are drawn again where the text is set anew in another width
  page.follow = (node, draw) => {
    const observer = new ResizeObserver(() => (node.isConnected ? draw() : observer.disconnect()));
    observer.observe(node);
  };
  page.remember = () => state?.write(encode(page.panels.map((panel) => panel.saved)));
  page.explained = (panel) => {
    page.remember();
    const e = panel.answer.explanations[0], kept = structuredClone(panel.state);
    const said = `${panel.answer.headline.sentence} ${e.method}: ${Object.values(e.texts).join(" | ") || "an image"}`;
    const again = h("li", {}, h("button", { type: "button", onclick: () => page.panels[0].restore(structuredClone(kept)) }, said));
    if (past.firstChild?.textContent !== said) past.prepend(again);
    while (past.children.length > 100) past.lastChild.remove();
    const found = page.panels.length === 2 ? difference(...page.panels) : null;
    differs.hidden = found === null;
    differs.replaceChildren(...(found ? [h("h3", {}, "Side by side"), found] : []));
  };
  page.copyLink = (panel) => {
    const link = state.link(encode(page.panels.map((each) => each.saved)));
    navigator.clipboard?.writeText(link).catch(() => {});
    panel.extra.replaceChildren(h("h3", {}, "A link to this, for whoever can reach this server"), h("pre", { tabIndex: 0 }, link));
  };

  root.replaceChildren(
    h("div", { class: "top" }, h(heading ? "h1" : "strong", {}, "saywhy"), h("span", { class: "grow" }, "Why did the model say that? Change the text, switch words off, and see."), beside, theme),
    panels, differs, other, history_);
  for (const each of saved?.length ? saved.slice(0, 2) : [text === null ? null : { fields: { text } }]) add(each);
  layout();
  const models = async () => {
    for (;;) {
      page.models = await api.models(page.models.length ? 20 : 0);
      for (const panel of page.panels) {
        if (panel.formOf !== namesOf(panel.about)) panel.drawForm();
        panel.drawChoices();
      }
      if (page.models.some((m) => m.input === "prompt") && api.cite) {
        if (!other.firstChild) other.append(citations(page));
        page.listWriters();
      }
      if (page.models.every((m) => m.state !== "loading")) return;
    }
  };
  const known = models().catch((error) => page.panels[0].say(error.message, "error"));
  // a text is asked about before it is known what the model is; anything else waits for that
  const start = async () => { for (const panel of page.panels) await panel.explain(); };
  if (saved?.length || text !== null) known.then(start);
  else start().then(() => known).then(() => {if (!page.panels[0].answer) page.panels[0].explain(); });
  return page;
}
