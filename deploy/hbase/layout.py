"""The layout of a cluster: its processes, their ports and folders, as `up` was asked for them.

With one region server, ZooKeeper, master and region server share a JVM (HBase's standalone mode), which starts
quickest. With two, each process has a JVM of its own, so that one of them can be killed.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from deploy.hbase.errors import ClusterError

LOOPBACK = "127.0.0.1"
PORTS = 10
"""The number of a cluster's ports. They are a block from `port_base` on."""


TRANSPORTS = ("buffered", "framed")
PROTOCOLS = ("binary", "compact")


class Daemon(NamedTuple):
    """One process of a cluster: a JVM that runs `main`. It works when `port` accepts connections."""

    name: str
    main: str
    arguments: tuple[str, ...]
    heap_mb: int
    port: int
    is_gateway: bool = False


@dataclass(frozen=True)
class Layout:
    """The wishes of `up`, kept in the folder: a stop and the next start find the same cluster.

    `listen` is the gateways' address; all else listens on 127.0.0.1. `heap_mb` is for each master and region server.
    `transport` (one of TRANSPORTS) and `protocol` (one of PROTOCOLS) are what the Thrift1 gateways speak. Thrift2 is
    always buffered and binary: a framed one takes the whole request for each key at which a new table is to be split.
    """

    region_servers: int = 1
    gateways: int = 1
    port_base: int = 9090
    listen: str = LOOPBACK
    heap_mb: int = 1024
    gateway_heap_mb: int = 256
    transport: str = "buffered"
    protocol: str = "binary"

    @property
    def is_standalone(self) -> bool:
        return self.region_servers == 1

    @property
    def gateway_ports(self) -> list[int]:
        """The ports of the Thrift1 gateways. Thrift2 is at the port behind the first one, where `rowbox schema` looks
        by default.
        """
        return [self.port_base, self.port_base + 2][: self.gateways]

    @property
    def thrift2_port(self) -> int:
        return self.port_base + 1

    @property
    def info_ports(self) -> list[int]:
        """The ports at which the Thrift1 gateways show their effective settings: http://127.0.0.1:PORT/conf."""
        return [port + 3 for port in self.gateway_ports]

    @property
    def zookeeper_port(self) -> int:
        return self.port_base + 6

    @property
    def master_port(self) -> int:
        return self.port_base + 7

    @property
    def region_server_ports(self) -> list[int]:
        return [self.port_base + 8, self.port_base + 9][: self.region_servers]

    def url(self, prefix: str) -> str:
        """The store's URL with this prefix, for `--store`."""
        gateways = ",".join(f"127.0.0.1:{port}" for port in self.gateway_ports)
        return f"hbase://{gateways}/{prefix}"

    def daemons(self) -> list[Daemon]:
        """All processes, in the order of their start."""
        return [*self._servers(), *self._gateways()]

    def _servers(self) -> list[Daemon]:
        package = "org.apache.hadoop.hbase"
        if self.is_standalone:
            return [Daemon("master", f"{package}.master.HMaster", ("start",), self.heap_mb, self.master_port)]
        return [
            Daemon("zookeeper", f"{package}.zookeeper.HQuorumPeer", (), 128, self.zookeeper_port),
            Daemon("master", f"{package}.master.HMaster", ("start",), self.heap_mb, self.master_port),
            *(
                Daemon(
                    f"region-server-{number}",
                    f"{package}.regionserver.HRegionServer",
                    (f"-Dhbase.regionserver.port={port}", "start"),
                    self.heap_mb,
                    port,
                )
                for number, port in enumerate(self.region_server_ports, 1)
            ),
        ]

    def _gateways(self) -> list[Daemon]:
        package, heap_mb = "org.apache.hadoop.hbase", self.gateway_heap_mb
        wire = ("-f",) * (self.transport == "framed") + ("-c",) * (self.protocol == "compact")
        ports = enumerate(zip(self.gateway_ports, self.info_ports, strict=True), 1)
        return [
            *(
                Daemon(
                    f"gateway-{number}",
                    f"{package}.thrift.ThriftServer",
                    ("-p", str(port), "--infoport", str(info_port), *wire, "start"),
                    heap_mb,
                    port,
                    is_gateway=True,
                )
                for number, (port, info_port) in ports
            ),
            Daemon(
                "thrift2",
                f"{package}.thrift2.ThriftServer",
                ("-p", str(self.thrift2_port), "start"),
                heap_mb,
                self.thrift2_port,
                is_gateway=True,
            ),
        ]

    # ------------------------------------------------------------------ kept in the folder

    def save(self, folder: Path) -> None:
        _file(folder).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def exists(folder: Path) -> bool:
        return _file(folder).exists()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The layout kept in `folder`. ClusterError where there is none."""
        try:
            return cls(**json.loads(_file(folder).read_text()))
        except FileNotFoundError as error:
            raise ClusterError(f"there is no cluster in {folder}; make one with: up --dir {folder}") from error


def _file(folder: Path) -> Path:
    return folder / "cluster.json"
