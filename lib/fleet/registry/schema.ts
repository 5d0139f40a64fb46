/** The tables of Main and Fleet: the documented one, in a form that SQLite takes, and ours beside it. */

/** As `devices` holds it. Times are unix seconds. */
export interface DeviceRow {
  id: number
  fleet: string
  id_in_fleet: number
  fleetuser: string
  hostname: string
  /** A MAC address, `revoked:SECONDS:…`, in Main `collision:ID:MAC`, or NULL: not claimed. */
  hwid: string | null
  /** `sha256:HEX` of the OTP's 256 characters. */
  otp: string
  ts_generated: number
  ts_registered: number | null
  /** `-id` once revoked: the port is free for others. */
  tunnel_port: number
  /** The fleet's login key: a cert-authority line for the device's authorized_keys. */
  device_public_key: string
  /** Always '': operators have certificates. */
  device_private_key: string
  /** The key that the device claimed with. */
  server_public_key: string
  /** '' or, in Fleet for a while after a claim of the two-line form, `sealed:v1:…`. */
  server_private_key: string
  ip_provisioned_from: string | null
}

/** In the order of the document. */
export const documentedColumns = [
  'id',
  'fleet',
  'id_in_fleet',
  'fleetuser',
  'hostname',
  'hwid',
  'otp',
  'ts_generated',
  'ts_registered',
  'tunnel_port',
  'device_public_key',
  'device_private_key',
  'server_public_key',
  'server_private_key',
  'ip_provisioned_from',
] as const satisfies readonly (keyof DeviceRow)[]

/** The user_version of files that this program has made or taken over. */
export const registryVersion = 1

// The document's text. ip_provisioned_from is NULL until a device is provisioned, as the document says below it.
export const devicesTable = `CREATE TABLE devices (
     id INTEGER UNIQUE PRIMARY KEY NOT NULL,  -- unique ID for device, across all fleets
     fleet VARCHAR NOT NULL,                  -- name of fleet device belongs to
     id_in_fleet INTEGER NOT NULL,            -- unique ID for device within fleet
     fleetuser VARCHAR NOT NULL,              -- name of user device uses for ssh to fleet server; typically, fleetsie_FLEET
     hostname VARCHAR NOT NULL,               -- hostname for device; typically FLEET-ID_IN_FLEET
     hwid VARCHAR,                            -- hardware ID of device; NULL means no device registered to this record yet
     otp VARCHAR NOT NULL,                    -- hash of the one-time password used by device to register
     ts_generated DOUBLE NOT NULL,            -- unix timestamp for when this device record was generated
     ts_registered DOUBLE,                    -- unix timestamp for when this device was registered; NULL means not registered yet
     tunnel_port INTEGER NOT NULL,            -- TCP port mapped on server back to device SSH server port
     device_public_key VARCHAR NOT NULL,      -- public key which can be used to login as user 1000 on device
     device_private_key VARCHAR NOT NULL,     -- empty: nobody's private key is kept
     server_public_key VARCHAR NOT NULL,      -- public key which device will use to ssh into fleet server
     server_private_key VARCHAR NOT NULL,     -- empty, or sealed for the device that claims by the older form
     ip_provisioned_from VARCHAR              -- IP address from which request to provision this device originated
)`

// The document's three indexes with the names that SQLite asks for; ports are unique over all fleets; the others find the
// next device that nobody has claimed among a million that somebody has, and the owner of a key.
export const devicesIndexes = `
CREATE UNIQUE INDEX IF NOT EXISTS devices_hwid ON devices(hwid);
CREATE UNIQUE INDEX IF NOT EXISTS devices_fleet_otp_hwid ON devices(fleet, otp, hwid);
CREATE UNIQUE INDEX IF NOT EXISTS devices_fleet_id_in_fleet ON devices(fleet, id_in_fleet);
CREATE UNIQUE INDEX IF NOT EXISTS devices_tunnel_port ON devices(tunnel_port);
CREATE INDEX IF NOT EXISTS devices_unclaimed ON devices(fleet, id_in_fleet) WHERE hwid IS NULL;
CREATE INDEX IF NOT EXISTS devices_key ON devices(server_public_key) WHERE server_public_key <> '';
`

/** A disk's claims. Live: not revoked, and not past `ts_expires` when there is one. */
export interface LotRow {
  lot: string
  fleet: string
  /** The disk's public key, `ssh-ed25519 AAAA…`. */
  key: string
  ts_generated: number
  ts_expires: number | null
  ts_revoked: number | null
}

export interface FleetRow {
  fleet: string
  /** What unclaimed devices have as device_public_key; '' until a `gen` gives one. */
  login_key: string
  /** 1: clients of the two-line form get keys that the server makes. */
  server_keys: number
}

export const ownTables = `
CREATE TABLE IF NOT EXISTS lots (
  lot TEXT PRIMARY KEY NOT NULL, fleet TEXT NOT NULL, key TEXT NOT NULL,
  ts_generated INTEGER NOT NULL, ts_expires INTEGER, ts_revoked INTEGER
);
CREATE TABLE IF NOT EXISTS lot_devices (
  lot TEXT NOT NULL, id_in_fleet INTEGER NOT NULL, PRIMARY KEY (lot, id_in_fleet)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fleets (
  fleet TEXT PRIMARY KEY NOT NULL, login_key TEXT NOT NULL, server_keys INTEGER NOT NULL
);
`

// In Main only: what each call of `gen` allocated, so that the same call again allocates nothing; and the keys that are
// accepted beside a device's own while it changes from one to the other.
export const mainTables = `
CREATE TABLE IF NOT EXISTS requests (
  request TEXT PRIMARY KEY NOT NULL, fleet TEXT NOT NULL, first INTEGER NOT NULL, num INTEGER NOT NULL,
  ts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS rotations (
  key TEXT PRIMARY KEY NOT NULL, fleet TEXT NOT NULL, id_in_fleet INTEGER NOT NULL, ts INTEGER NOT NULL
);
`

/** provisioning.sqlite, devices.sqlite on a disk: OTPs in clear, of devices that nobody has claimed. */
export const provisioningTable =
  'CREATE TABLE devices (id_in_fleet INTEGER UNIQUE PRIMARY KEY NOT NULL, otp VARCHAR NOT NULL)'
