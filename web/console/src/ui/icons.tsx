// Pictures of 20 × 20, drawn with the colour of the text. They never stand for something that is not also said in words.
const paths = {
  home: "M3 9.5 10 4l7 5.5V16a1 1 0 0 1-1 1h-3.5v-5h-5v5H4a1 1 0 0 1-1-1z",
  segment: "M2.5 14h15M5 14V6M15 14V6M5 7q5 6.5 10 0",
  timeline: "M10 3.5a6.5 6.5 0 1 1-6 4M4 3.5v4h4M10 6.5V10l2.5 1.8",
  bell: "M5.5 13.5V9.2a4.5 4.5 0 0 1 9 0v4.3l1.5 1.5H4zM8.3 17h3.4M10 4.7V3.2",
  peers: "M10 4.2a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4M4.5 12.4a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4M15.5 12.4a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4M9 7.4l-3.6 5M11 7.4l3.6 5M6.4 14h7.2",
  macs: "M3 5h14v8H3zM7 16.5h6M10 13v3.5",
  ports: "M4 4h12v9h-3v3H7v-3H4zM7.5 4v3M10 4v3M12.5 4v3",
  routes: "M5 4.5a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2M15 12.3a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2M6.7 6H12a2.7 2.7 0 0 1 0 5.4H8a2.4 2.4 0 0 0 0 4.7",
  capture: "M10 4a6 6 0 1 1 0 12 6 6 0 0 1 0-12M10 8a2 2 0 1 1 0 4 2 2 0 0 1 0-4",
  tokens: "M7 4.5a4 4 0 1 1-.1 8 4 4 0 0 1 .1-8M10 10.7l6.5 6M13.5 14l1.8-1.8",
  about: "M10 3.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13M10 9v4.5M10 6.3v.4",
  addresses: "M3.5 3.5h5v5h-5zM11.5 3.5h5v5h-5zM3.5 11.5h5v5h-5zM11.5 11.5h5v5h-5z",
  config: "M4 6h7M15 6h1M4 14h1M9 14h7M13 4a2 2 0 1 1 0 4 2 2 0 0 1 0-4M7 12a2 2 0 1 1 0 4 2 2 0 0 1 0-4",
  users: "M10 4a2.8 2.8 0 1 1 0 5.6A2.8 2.8 0 0 1 10 4M4 16.5c.6-3.4 3-5 6-5s5.4 1.6 6 5",
  audit: "M5 3.5h10v13H5zM7.5 7h5M7.5 10h5M7.5 13h3",
  certificate: "M4 4h12v8H4zM7 7h6M7 9.3h3M11.8 12a1.9 1.9 0 1 1 0 .1M10.8 13.5V17l1.7-1 1.7 1v-3.5",
  key: "M6.5 7a3.2 3.2 0 1 1 0 6.2 3.2 3.2 0 0 1 0-6.2M9.7 10H17v3M14 10v2.3",
  account: "M10 3.2a6.8 6.8 0 1 1 0 13.6 6.8 6.8 0 0 1 0-13.6M10 6a2.2 2.2 0 1 1 0 4.4A2.2 2.2 0 0 1 10 6M5.6 15c.8-2 2.4-2.8 4.4-2.8s3.6.8 4.4 2.8",
  update: "M10 4v8M6.5 8.7 10 12.2l3.5-3.5M4 15.7h12",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h13",
  close: "M5 5l10 10M15 5 5 15",
  copy: "M7.5 7.5h8v9h-8zM4.5 12.5v-9h8",
  upload: "M10 12.5V4M6.5 7.3 10 3.8l3.5 3.5M4 16h12",
  download: "M10 4v8.5M6.5 9.2 10 12.7l3.5-3.5M4 16h12",
  search: "M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4M12.6 12.6 16.5 16.5",
  sun: "M10 7a3 3 0 1 1 0 6 3 3 0 0 1 0-6M10 2.5v1.7M10 15.8v1.7M2.5 10h1.7M15.8 10h1.7M4.7 4.7l1.2 1.2M14.1 14.1l1.2 1.2M15.3 4.7l-1.2 1.2M5.9 14.1l-1.2 1.2",
  moon: "M16 11.8A6.5 6.5 0 0 1 8.2 4 6.5 6.5 0 1 0 16 11.8z",
  system: "M3 4.5h14v9H3zM7 16.5h6M10 13.5v3",
  up: "M10 15V5M6 9l4-4 4 4",
  down: "M10 5v10M6 11l4 4 4-4",
  right: "M7.5 4.5 13 10l-5.5 5.5",
  plus: "M10 4v12M4 10h12",
  stop: "M5.5 5.5h9v9h-9z",
  play: "M6 4.5 15.5 10 6 15.5z",
  link: "M8.5 11.5l3-3M7 9l-2 2a2.8 2.8 0 0 0 4 4l2-2M13 11l2-2a2.8 2.8 0 0 0-4-4L9 7",
  // shapes of states
  ok: "M10 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14M6.8 10.2l2.2 2.2 4.2-4.6",
  warn: "M10 3.5 17.5 16.5h-15zM10 8.5v3.5M10 14.2v.3",
  bad: "M7 3h6l4 4v6l-4 4H7l-4-4V7zM7.5 7.5l5 5M12.5 7.5l-5 5",
  idle: "M10 4a6 6 0 1 1 0 12 6 6 0 0 1 0-12M7.5 10h5",
  self: "M10 3.5l2 4.3 4.6.5-3.4 3.1.9 4.6L10 13.7 5.9 16l.9-4.6-3.4-3.1 4.6-.5z",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
