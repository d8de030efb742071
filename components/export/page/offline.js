// Keeps the page for when there is no network: what the server gives comes first, what was kept stands in. From the
// second time on the page is opened with the headers that browsers ask for before they let it use several threads.
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
addEventListener("install", () => skipWaiting());
addEventListener("activate", event => event.waitUntil(clients.claim()));
addEventListener("fetch", event => event.respondWith(
  fetch(event.request).catch(() => caches.match(event.request)).then(({ body, status, statusText, headers }) =>
    new Response(body, { status, statusText, headers: { ...Object.fromEntries(headers), ...ISOLATION } }))));
