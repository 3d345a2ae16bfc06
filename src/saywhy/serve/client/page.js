// The page of `saywhy serve`: the client over HTTP. A question is a POST; its progress comes back as server-sent events.
import { mount } from "./client.js";

const fragment = new URLSearchParams(location.hash.slice(1));
let token = fragment.get("token");
try {
  if (token) sessionStorage.setItem("saywhy-token", token);
  else token = sessionStorage.getItem("saywhy-token");
} catch { /* storage is switched off: the token stays in memory */ }
if (fragment.has("token")) {
  fragment.delete("token"); // it shall not stand in the address, nor in a link that is copied
  history.replaceState(null, "", fragment.size ? `#${fragment}` : location.pathname);
}

function headers(more) {
  return { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}), ...more };
}

async function failure(answer) {
  let message = `The server answered ${answer.status}.`;
  try { message = (await answer.json()).error.message; } catch { /* not JSON */ }
  return new Error(message);
}

async function ask(path, body, { signal, progress } = {}) {
  const answer = await fetch(path, {
    method: "POST", signal, body: JSON.stringify(body), headers: headers({ Accept: progress ? "text/event-stream" : "application/json" }),
  });
  if (!answer.ok) throw await failure(answer);
  if (!progress) return answer.json();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The server went away before it had answered.");
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(block);
      const told = JSON.parse(data);
      if (name === "result") return told;
      if (name === "error") throw new Error(told.message);
      progress(told);
    }
  }
}

const api = {
  async models(wait) {
    const answer = await fetch(`/api/models?wait=${wait}`, { headers: headers() });
    if (!answer.ok) throw await failure(answer);
    return (await answer.json()).models;
  },
  explain: (body, how) => ask("/api/explain", body, how),
  predict: (body, how) => ask("/api/predict", body, how),
  cite: (body, how) => ask("/api/cite", body, how),
  async render(body) {
    const answer = await fetch("/api/render", { method: "POST", body: JSON.stringify(body), headers: headers() });
    if (!answer.ok) throw await failure(answer);
    return answer.blob();
  },
};

const state = {
  read: () => new URLSearchParams(location.hash.slice(1)).get("state"),
  write: (text) => history.replaceState(null, "", `#state=${text}`),
  link: (text) => `${location.origin}${location.pathname}#state=${text}`,
};
mount(document.getElementById("app"), api, { state, heading: true });
