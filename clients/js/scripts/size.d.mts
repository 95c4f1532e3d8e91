export function sizes(entry: string): Promise<{ name: string; initial: boolean; bytes: number; gzipped: number }[]>;
