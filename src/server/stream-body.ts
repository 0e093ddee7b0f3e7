/** How a stream behaves in silence and at its end. */
export interface StreamManners {
  /** What is sent in a silence of so many seconds. */
  keepAlive: () => string;
  seconds: number;
  /** Called once, however the stream ends. */
  onEnd: () => void;
}

/** A body that takes the next piece when the reader has room for it. */
export function streamOf(
  pieces: AsyncGenerator<string>,
  { keepAlive, seconds, onEnd }: StreamManners,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    clearInterval(timer);
    onEnd();
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setInterval(() => {
        // A reader that is slow knows that work goes on.
        if (controller.desiredSize! > 0) controller.enqueue(encoder.encode(keepAlive()));
      }, seconds * 1000);
    },
    async pull(controller) {
      const { value, done } = await pieces.next();
      if (!done) {
        timer?.refresh();
        controller.enqueue(encoder.encode(value));
        return;
      }
      end();
      controller.close();
    },
    async cancel() {
      end();
      await pieces.return(undefined);
    },
  });
}
