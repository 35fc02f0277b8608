"""New structures: from nothing, from nets and prototypes, from parents."""
