/*
 * The part of HBase's Thrift2 interface that Rowbox calls: making and describing a table. Thrift1, which happybase
 * speaks, can neither split a table when it is made nor set a family's encoding.
 *
 * Field numbers, types and names of calls are HBase's (2.2 and later). Fields that Rowbox does not use are left out: a
 * reader skips what it does not know, and all attributes of a family travel in one map, under their names in the shell.
 */

struct TTableName {
  1: optional binary ns
  2: required binary qualifier
}

struct TColumnFamilyDescriptor {
  1: required binary name
  2: optional map<binary, binary> attributes
}

struct TTableDescriptor {
  1: required TTableName tableName
  2: optional list<TColumnFamilyDescriptor> columns
}

struct THRegionInfo {
  3: optional binary startKey
}

struct THRegionLocation {
  2: required THRegionInfo regionInfo
}

exception TIOError {
  1: optional string message
  2: optional bool canRetry
}

enum TThriftServerType {
  ONE = 1
  TWO = 2
}

/* What tells one gateway from another; both kinds of gateway answer these two calls alike. */
service Identity {
  TThriftServerType getThriftServerType()
  string getClusterId()
}

service THBaseService extends Identity {
  bool tableExists(1: TTableName tableName) throws (1: TIOError io)
  TTableDescriptor getTableDescriptor(1: required TTableName table) throws (1: TIOError io)
  list<THRegionLocation> getAllRegionLocations(1: required binary table) throws (1: TIOError io)
  void createTable(1: required TTableDescriptor desc, 2: optional list<binary> splitKeys) throws (1: TIOError io)
}
