/** A cursor that can be compared: `<epoch>-<offset>`. */
export interface Position {
  readonly epoch: string;
  readonly offset: bigint;
}

export function position(cursor: string): Position {
  const dash = cursor.lastIndexOf("-");
  return { epoch: cursor.slice(0, dash), offset: BigInt(cursor.slice(dash + 1)) };
}

/** Whether `a` comes after `b` in one life of the log. Positions of different epochs cannot be compared: false. */
export const isAfter = (a: Position, b: Position): boolean => a.epoch === b.epoch && a.offset > b.offset;

/** Whether `a` is where `b` is or before it, in one life of the log. */
export const isNotAfter = (a: Position, b: Position): boolean => a.epoch === b.epoch && a.offset <= b.offset;
