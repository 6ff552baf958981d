"""Who may own: leases, the map, takeovers; and a server of a cluster, composed of these and an owner."""
