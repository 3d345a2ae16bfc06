// The widget for notebooks: the client over the messages of anywidget's protocol. A question has a number, and so has its answer.
import { mount } from "./client.js";

function render({ model, el }) {
  const waiting = new Map();
  let next = 0;
  const answered = ({ id, result, error }) => {
    const call = waiting.get(id);
    if (!call) return;
    waiting.delete(id);
    if (error === undefined) call.resolve(result);
    else call.reject(new Error(error));
  };
  const ask = (kind, body, how) => new Promise((resolve, reject) => {
    const id = ++next;
    waiting.set(id, { resolve, reject });
    how?.signal?.addEventListener("abort", () => {
      waiting.delete(id);
      reject(new DOMException("Cancelled.", "AbortError"));
    });
    model.send({ id, kind, body });
  });
  model.on("msg:custom", answered);
  const root = document.createElement("div");
  el.append(root);
  mount(root, {
    models: () => ask("models", {}),
    explain: (body, how) => ask("explain", body, how),
    predict: (body, how) => ask("predict", body, how),
    cite: (body, how) => ask("cite", body, how),
    async render(body) {
      const { data, type } = await ask("render", body);
      return new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type });
    },
  }, { text: model.get("text") });
  return () => model.off("msg:custom", answered);
}

export default { render };
