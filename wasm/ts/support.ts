/** What a browser lacks for keeping data, by the names of its interfaces. */
export function missing(storage: 'opfs' | 'memory' = 'opfs'): string[] {
  const scope = globalThis as unknown as Record<string, unknown> & { navigator?: Navigator }
  const lacking: string[] = []
  const need = (there: unknown, name: string) => {
    if (!there) lacking.push(name)
  }
  need(scope.WebAssembly, 'WebAssembly')
  need(scope.Worker ?? scope.WorkerGlobalScope, 'Worker')
  if (storage === 'memory') return lacking
  need(scope.isSecureContext, 'a secure context (https, or localhost)')
  need(scope.navigator?.storage?.getDirectory, 'navigator.storage.getDirectory (OPFS)')
  need((scope.FileSystemFileHandle as { prototype?: object })?.prototype, 'FileSystemFileHandle')
  need(scope.navigator?.locks, 'navigator.locks (Web Locks)')
  need(scope.BroadcastChannel, 'BroadcastChannel')
  return lacking
}
