// For the tests, simulator build only: an object that is gone in silence, as if the runtime had dropped it, and its
// alarm had been lost where that is wanted. Not in the handler's own turn: an abort from within it would take the isolate along.
export function vanish(context, keepsAlarm) {
  setTimeout(async () => {
    if (!keepsAlarm) await context.storage.deleteAlarm();
    await context.storage.sync();
    context.abort('asked for by a test');
  }, 0);
}
