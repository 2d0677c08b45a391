/**
 * What is deployed: the functions with what they import, types stripped, a file a function, so that a cold start reads
 * few files. The functions framework stays outside: it is what starts them, and keeps the list of functions.
 */
export default {
  input: 'functions/index.ts',
  platform: 'node',
  external: ['@google-cloud/functions-framework'],
  output: {
    dir: 'functions/built',
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name].mjs',
    banner: 'const __dirname = import.meta.dirname, __filename = import.meta.filename;',
  },
};
