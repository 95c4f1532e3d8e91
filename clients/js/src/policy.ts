/** The times of the fallback, in seconds. */
export const POLICY = {
  /** The head start of one transport over the next, until a round trip is known, */
  stagger: 0.25,
  /** and then so many of them, */
  staggerRoundTrips: 4,
  /** between these two. */
  staggerMin: 0.1,
  staggerMax: 1,
  /** From the first hello, until one carries although nothing could be sent yet. */
  downPatience: 1,
  /** For an echo, and until the uplink counts as blocked. */
  proofTimeout: 3,
  /** So long after an echo a hello is enough. */
  trust: 600,
  /** For GET /healthz. */
  onlineTimeout: 3,

  /** Of silence from all others, until one in quarantine is tried. */
  lastResort: 2,
  /** After a round in which nothing worked; doubles. */
  backoffMin: 0.25,
  backoffMax: 15,
  /** A link that lived so long makes the pauses short again. */
  steady: 10,
  /** A server cannot ask for more. */
  retryAfterMax: 300,

  /** A link that dies younger was cut. */
  early: 30,
  /** So was one that dies below this age, if it is the age of the last one. */
  regular: 300,
  /** So soon after a loss something has to work, for the loss to count. */
  confirm: 10,
  strikeHalfLife: 600,
  /** Doubles. */
  quarantineMin: 60,
  quarantineMax: 3600,
  /** A link that lived so long ends all blame. */
  forgive: 600,

  /** Until a better transport is tried beside the one that carries; doubles. */
  probeMin: 5,
  probeMax: 300,
  /** At most so long until an uplink that was blocked is tried again. */
  uplinkMax: 20,
};

export type Policy = typeof POLICY;
