"""The verb that works: `strandline work`, alone or as several processes."""
