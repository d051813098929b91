// Questions to the collector, relative to the page, so that they also work behind the API server's proxy.

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

const PATIENCE_MS = 15000;

async function answer(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters ?? {}).filter(([, value]) => value));
  const url = `api/v1/${path}${query.size ? `?${query}` : ""}`;
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), headers: { Accept: "application/json" } });
  } catch (error) {
    throw new Refused(0, error.name === "TimeoutError" ? "the collector did not answer within 15 s" : "the collector cannot be reached");
  }
  if (!response.ok) {
    let sentence = `the collector answers with status ${response.status}`;
    try {
      sentence = (await response.json()).error ?? sentence;
    } catch { /* whatever stands between us answers in words of its own */ }
    throw new Refused(response.status, sentence);
  }
  return response;
}

export async function json(path, parameters) {
  const response = await answer(path, parameters);
  try {
    return await response.json();
  } catch {
    throw new Refused(0, "the collector's answer broke off");
  }
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
  return { ...header, codes };
}
