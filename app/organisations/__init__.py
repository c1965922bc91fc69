"""Clusters, regions, companies and schools."""
