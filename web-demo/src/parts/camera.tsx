// Photos from the camera of the device, or chosen among files.
import { useEffect, useRef, useState } from 'react'
import { Icon } from './icon'

export interface Shot { file: Blob; method: 'camera' | 'upload'; durationMs: number | null }

export function PhotoButtons({ take, label, busy }: { take: (shots: Shot[]) => void; label: string; busy?: boolean }) {
  const [open, setOpen] = useState(false)
  const files = useRef<HTMLInputElement>(null)
  return (
    <div className="photo-buttons">
      <button type="button" className="plain" disabled={busy} onClick={() => setOpen(true)}><Icon name="camera" />Camera<span className="unseen"> for {label}</span></button>
      <button type="button" className="plain" disabled={busy} onClick={() => files.current?.click()}><Icon name="image" />Choose<span className="unseen"> photos for {label}</span></button>
      <input ref={files} type="file" accept="image/*" multiple hidden aria-label={`Photos for ${label}`} data-testid="files"
        onChange={({ target }) => {
          const chosen = [...target.files ?? []]
          target.value = ''
          if (chosen.length > 0) take(chosen.map((file) => ({ file, method: 'upload', durationMs: null })))
        }} />
      {open && <Camera close={() => setOpen(false)} take={(shot) => { setOpen(false); take([shot]) }} label={label} />}
    </div>
  )
}

function Camera({ take, close, label }: { take: (shot: Shot) => void; close: () => void; label: string }) {
  const video = useRef<HTMLVideoElement>(null)
  const dialog = useRef<HTMLDialogElement>(null)
  const opened = useRef(performance.now())
  const [why, setWhy] = useState<string>()
  const [ready, setReady] = useState(false)

  useEffect(() => {
    let stream: MediaStream | undefined
    let ended = false
    dialog.current?.showModal()
    const wanted = { video: { facingMode: 'environment', width: { ideal: 4096 }, height: { ideal: 3072 } }, audio: false }
    Promise.resolve(navigator.mediaDevices?.getUserMedia(wanted) ?? Promise.reject(new Error('this browser has no camera'))).then((given) => {
      stream = given
      if (ended) return stop()
      video.current!.srcObject = given
      return video.current!.play()
    }).catch((error) => { if (!ended) setWhy(error?.name === 'NotAllowedError' ? 'The camera is not allowed here. Choose a file instead.' : 'No camera was found. Choose a file instead.') })
    const stop = () => { for (const track of stream?.getTracks() ?? []) track.stop() }
    return () => { ended = true; stop() }
  }, [])

  const shoot = () => {
    const { videoWidth: width, videoHeight: height } = video.current!
    const canvas = Object.assign(document.createElement('canvas'), { width, height })
    canvas.getContext('2d')!.drawImage(video.current!, 0, 0)
    canvas.toBlob((file) => {
      if (file) take({ file, method: 'camera', durationMs: Math.round(performance.now() - opened.current) })
    }, 'image/jpeg', 0.92)
  }

  return (
    <dialog ref={dialog} className="camera" aria-label={`Camera: ${label}`} onCancel={(event) => { event.preventDefault(); close() }}>
      <p className="camera-label">{label}</p>
      {why ? <p className="camera-why">{why}</p> : <video ref={video} playsInline muted onLoadedData={() => setReady(true)} aria-label="What the camera sees" />}
      <div className="camera-bar">
        <button type="button" className="plain" onClick={close}>Close</button>
        <button type="button" className="shutter" disabled={!ready} onClick={shoot} aria-label="Take the photo" />
        <span />
      </div>
    </dialog>
  )
}
