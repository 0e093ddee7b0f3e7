/** What a template raised on purpose, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/** As Jinja's sandbox. */
const LONGEST_RANGE = 100_000;

/** What every template may use. */
export function templateGlobals(): Record<string, unknown> {
  return {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    range,
    strftime_now: (format: string) => strftime(new Date(), format),
    raise_exception: (message: string) => {
      throw new TemplateRefusal(String(message));
    },
  };
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LONGEST_RANGE)) throw new Error(`it asks for a range of ${length} numbers`);
  return Array.from({ length }, (_, index) => start + index * step);
}

/** Each takes a hundred kilobytes, so a template must not make them. */
const ENGLISH = {
  month: new Intl.DateTimeFormat("en-US", { month: "long" }),
  shortMonth: new Intl.DateTimeFormat("en-US", { month: "short" }),
  weekday: new Intl.DateTimeFormat("en-US", { weekday: "long" }),
  shortWeekday: new Intl.DateTimeFormat("en-US", { weekday: "short" }),
};

/** Python's strftime in English, for the directives that templates use. */
function strftime(date: Date, format: string): string {
  const english = (name: keyof typeof ENGLISH): string => ENGLISH[name].format(date);
  const padded = (value: number, length = 2): string => String(value).padStart(length, "0");
  const hour12 = date.getHours() % 12 || 12;
  const newYear = Date.UTC(date.getFullYear(), 0, 1);
  const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  const directives: Record<string, () => string> = {
    Y: () => String(date.getFullYear()),
    y: () => padded(date.getFullYear() % 100),
    m: () => padded(date.getMonth() + 1),
    d: () => padded(date.getDate()),
    e: () => String(date.getDate()).padStart(2, " "),
    B: () => english("month"),
    b: () => english("shortMonth"),
    A: () => english("weekday"),
    a: () => english("shortWeekday"),
    H: () => padded(date.getHours()),
    I: () => padded(hour12),
    M: () => padded(date.getMinutes()),
    S: () => padded(date.getSeconds()),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    j: () => padded((today - newYear) / 86_400_000 + 1, 3),
    "%": () => "%",
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, name: string) => {
    const text = directives[name]?.() ?? whole;
    return dash && directives[name] ? text.replace(/^0+(?=.)/, "") : text;
  });
}
