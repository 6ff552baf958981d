"""The files that HBase reads: hbase-site.xml and log4j2.properties, written anew at each start.

A production gateway needs the same gateway settings; docs/how-to/hbase.md names them, and `rowbox doctor` checks them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from xml.sax.saxutils import escape

from deploy.hbase.layout import LOOPBACK, Layout

_Properties: TypeAlias = Iterator[tuple[str, str | float]]

LOG4J2 = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p [%t] %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def write(folder: Path, layout: Layout) -> Path:
    """Writes both files; returns the folder that has to come first on the classpath."""
    conf = folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    properties = {**dict(_server(folder / "data", layout)), **dict(_gateway(layout))}
    lines = [
        f"  <property><name>{name}</name><value>{escape(str(value))}</value></property>"
        for name, value in properties.items()
    ]
    (conf / "hbase-site.xml").write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))
    (conf / "log4j2.properties").write_text(LOG4J2)
    return conf


def _server(data: Path, layout: Layout) -> _Properties:
    yield "hbase.cluster.distributed", "false" if layout.is_standalone else "true"
    yield "hbase.rootdir", f"file://{data}/hbase"
    yield "hbase.tmp.dir", f"{data}/scratch"
    yield "hbase.zookeeper.property.dataDir", f"{data}/zookeeper"
    # A local file system has no hflush. What is written survives the end of a process, but not a power cut.
    yield "hbase.unsafe.stream.capability.enforce", "false"
    yield "hbase.wal.provider", "filesystem"  # the default one writes to HDFS only

    # Only the gateways may listen beyond this machine, where that is asked for, because this HBase has no passwords.
    yield "hbase.master.hostname", "localhost"
    yield "hbase.unsafe.regionserver.hostname", "localhost"
    yield "hbase.zookeeper.quorum", LOOPBACK
    yield "hbase.zookeeper.property.clientPortAddress", LOOPBACK  # else ZooKeeper listens on every address
    yield "hbase.zookeeper.property.clientPort", layout.zookeeper_port
    yield "hbase.master.port", layout.master_port
    yield "hbase.regionserver.port", layout.region_server_ports[0]
    yield "hbase.master.info.port", -1
    yield "hbase.regionserver.info.port", -1

    # Half of the heap instead of four fifths: master and ZooKeeper share it, and a load of small cells fills the rest.
    yield "hbase.regionserver.global.memstore.size", 0.3
    yield "hfile.block.cache.size", 0.2
    # Its buffers are 2 MB for each family of each region that is written to: 170 MB a table, of a heap of 1 GB.
    yield "hbase.hregion.memstore.mslab.enabled", "false"

    # All region servers, and no wait for more of them.
    yield "hbase.master.wait.on.regionservers.mintostart", layout.region_servers
    yield "hbase.master.wait.on.regionservers.maxtostart", layout.region_servers
    yield "hbase.regionserver.msginterval", 500  # one that came too early asks the master again after so long, not 3 s
    if not layout.is_standalone:
        # A killed region server is noticed after the session's timeout; ZooKeeper allows no less than two ticks.
        yield "zookeeper.session.timeout", 6000
        yield "hbase.zookeeper.property.tickTime", 1000


def _gateway(layout: Layout) -> _Properties:
    yield "hbase.regionserver.thrift.ipaddress", layout.listen
    # A gateway goes on retrying for a client that has given up, by default for up to 20 minutes, and the write lands
    # late. Rowbox ignores such writes, but relies on 10 minutes as their bound; and every retry is work for nobody.
    # What remains here outlasts the move of the regions of a region server that was killed (8 s).
    yield "hbase.client.retries.number", 6
    yield "hbase.client.pause", 100
    yield "hbase.rpc.timeout", 5000
    yield "hbase.client.operation.timeout", 15000
    yield "hbase.client.meta.operation.timeout", 15000
    # By default a connection idle for 60 s is closed, and the client notices with its next request: a write of unknown
    # outcome. So the client has to be the one that closes first (Rowbox: hbase.idle_ms).
    yield "hbase.thrift.server.socket.read.timeout", 600000
    # Framed: a larger request ends the connection. By default 2 MB, half of what Rowbox sends at once at most.
    yield "hbase.regionserver.thrift.framed.max_frame_size_in_mb", 16
    yield "hbase.thrift.info.bindAddress", LOOPBACK  # --infoport gives each gateway its port
    yield "hbase.thrift.info.port", -1
