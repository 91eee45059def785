"""Templates of skeletons that come with the package, one JSON file each."""
