// A screen: its title, whether all is sent, and what is on it.
import type { ReactNode } from 'react'
import { StatusPill } from './status-pill'
import { Icon } from './icon'

export function Page({ title, sub, back, children, action, pill = true }: {
  title: string; sub?: ReactNode; back?: string; children: ReactNode; action?: ReactNode; pill?: boolean
}) {
  return (
    <>
      <header className="head">
        {back && <a className="round" href={back} aria-label="Back"><Icon name="back" /></a>}
        <div className="head-title">
          <h1>{title}</h1>
          {sub && <p>{sub}</p>}
        </div>
        {action}
        {pill && <StatusPill />}
      </header>
      <main className="page">{children}</main>
    </>
  )
}
