// Asks a server for a streamed reply whenever its parent says so, and tells how long that took.
process.on("message", async ({ url, body }) => {
  const start = performance.now();
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  const decoder = new TextDecoder();
  let [first, text] = [undefined, ""];
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (first === undefined && /"text":"[^"]/.test(text)) first = performance.now();
  }
  const end = performance.now();
  process.send({ firstMs: first - start, decodeMs: end - first });
});
