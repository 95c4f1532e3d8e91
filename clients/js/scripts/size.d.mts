interface Chunk {
  name: string;
  initial: boolean;
  bytes: number;
  gzipped: number;
}

export function sizes(imports: Record<string, string>): Promise<Chunk[]>;
