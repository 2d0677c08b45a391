/** Standard error without what every command says: on what it works, and that it still waits. */
export function said(stderr: string): string {
  return stderr.replaceAll(/^(Project .*, .*prefix.*|Still waiting for .*)\n/gm, '');
}
