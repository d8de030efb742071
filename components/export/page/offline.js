// Keeps the page for when there is no network: what the server gives comes first, what was kept stands in.
addEventListener("install", () => skipWaiting());
addEventListener("activate", event => event.waitUntil(clients.claim()));
addEventListener("fetch", event => event.respondWith(fetch(event.request).catch(() => caches.match(event.request))));
