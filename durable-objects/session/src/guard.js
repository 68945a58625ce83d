// The guard: plain JavaScript that outlives the wasm instance (docs/decisions/panic-recovery.md).
//
// A panic throws the whole wasm instance away, with the memory of every session of the isolate. Quiet sockets of
// the dead instance stay open and their pings are answered by the runtime, so WhatsApp would believe in them.
// Each socket therefore has a timer in its own object's context that compares the isolate's generation with the
// one it was opened in; when they differ it closes the socket, arms the alarm and, when that is stored, aborts
// the object, whose calls in flight would otherwise hang for ever.
let generation = 0;

export function nextGeneration() {
  generation += 1;
}

const TICK_MS = 500;

export function watch(socket, context) {
  const mine = generation;
  const timer = setInterval(() => {
    if (generation === mine) return;
    clearInterval(timer);
    try {
      socket.close(4003, 'restarting');
    } catch {
      // Closed already.
    }
    // Not now: workerd loses an alarm that is set to the millisecond the one that runs was due at.
    context.storage.setAlarm(Date.now() + 50);
    // Not before the alarm is stored: an abort discards writes that are not, and the object would wait for its
    // old alarm.
    context.storage.sync().catch(() => undefined).then(() => context.abort('the wasm instance was replaced'));
  }, TICK_MS);
  return timer;
}

export function unwatch(timer) {
  clearInterval(timer);
}
