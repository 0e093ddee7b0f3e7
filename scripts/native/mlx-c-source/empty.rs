// Cargo wants a source file; scripts/native/mlx-c.mjs only fetches, it never builds this.
