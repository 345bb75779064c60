import type { Identity } from './types.js'

/** Whose token it is, by its claims; null where it says nothing of that. The server verifies it. */
export function identityOf(token: string | null): Identity | null {
  const { sub, app_metadata } = claimsOf(token)
  const tenant = app_metadata?.tenant_id
  return sub && tenant ? { tenant_id: tenant, user_id: sub } : null
}

/** When a token ends, UTC ms; never where it does not say. */
export function expiryOf(token: string): number {
  const { exp } = claimsOf(token)
  return exp ? exp * 1000 : Infinity
}

function claimsOf(token: string | null): { sub?: string; exp?: number; app_metadata?: { tenant_id?: string } } {
  try {
    const text = atob(token!.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/'))
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (one) => one.charCodeAt(0))))
  } catch {
    return {}
  }
}
