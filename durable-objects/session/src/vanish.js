// For the tests, simulator build only: an object that is gone in silence, as if its alarm had been lost and the
// runtime had dropped it. Not in the handler's own turn: an abort from within it would take the isolate along.
export function vanish(context) {
  setTimeout(async () => {
    await context.storage.deleteAlarm();
    await context.storage.sync();
    context.abort('asked for by a test');
  }, 0);
}
