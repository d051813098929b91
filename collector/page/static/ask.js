// Questions to the collector, relative to the page, so that they also work behind the API server's proxy.

export class Refused extends Error {
  constructor(status, sentence, exists = []) {
    super(sentence);
    this.status = status;
    this.exists = exists; // what could be asked for instead
  }
}

const PATIENCE_MS = 15000;
const ACTION_PATIENCE_MS = 90000; // agents hear of it with their next report, and tell with another one

// The token of whoever signed in: here and nowhere else, so that closing the page forgets it.
export const signed = { mode: "off", tokens: "", token: "", user: "" };

async function answer(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters ?? {}).filter(([, value]) => value));
  const url = `api/v1/${path}${query.size ? `?${query}` : ""}`;
  return fetched(url, { headers: { Accept: "application/json", ...credentials() } }, PATIENCE_MS);
}

const credentials = () => (signed.mode === "all" && signed.token ? { "X-Netmatrix-Token": signed.token } : {});

async function fetched(url, options, patience) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(patience), credentials: "omit", ...options });
  } catch (error) {
    throw new Refused(0, error.name === "TimeoutError" ? `the collector did not answer within ${patience / 1000} s` : "the collector cannot be reached");
  }
  if (!response.ok) {
    let said = {};
    try {
      said = await response.json();
    } catch { /* whatever stands between us answers in words of its own */ }
    throw new Refused(response.status, said?.error ?? `the collector answers with status ${response.status}`, said?.exists);
  }
  return response;
}

export async function json(path, parameters) {
  return object(await answer(path, parameters));
}

async function object(response) {
  let value;
  try {
    value = await response.json();
  } catch {
    throw new Refused(0, "the collector's answer broke off");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Refused(0, "the collector's answer is none that is known");
  return value;
}

// Have something done; the token is the first field, as it must be.
export async function act(name, token, asked) {
  const response = await fetched(`api/v1/actions/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token, ...asked }) }, ACTION_PATIENCE_MS);
  return object(response);
}

// Beats of the collector where an EventSource cannot be used, since that sends no token; until the stream ends.
export async function beats(heard, signal) {
  const response = await fetch("api/v1/events", { signal, credentials: "omit", headers: { Accept: "text/event-stream", ...credentials() } });
  if (!response.ok) throw new Refused(response.status, "no beats");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) if (part.value.includes("event: beat")) heard();
}

// The picture: "NMP1", the length of a JSON header, the header, one byte for each pair of a row and a column.
export async function picture(parameters) {
  const response = await answer("picture", parameters);
  let bytes;
  try {
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new Refused(0, "the collector's answer broke off");
  }
  const view = new DataView(bytes.buffer);
  if (bytes.length < 8 || view.getUint32(0, true) !== 0x31504d4e) throw new Refused(0, "the collector's answer is no picture");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const codes = bytes.subarray(8 + length);
  if (codes.length !== header.rows.length * header.columns.length) throw new Refused(0, "the collector's answer broke off");
  return { ...header, codes, age: Number(response.headers.get("Age") ?? 0) };
}
