/* What the account remembers about the screen. */

export function remember(choice) {
  const headers = { 'Content-Type': 'application/json' };
  fetch('/preferences', { method: 'PUT', body: JSON.stringify(choice), headers, keepalive: true }).catch(() => {});
}
