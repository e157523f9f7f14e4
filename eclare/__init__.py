"""ECLARE: extreme classification with label graph correlations (Mittal et al., WWW 2021), arrays in and arrays out.

The map, each folder importing from those above it alone:

- arrays: sparse matrices and kernels: CSR, products, nearest titles, top-k, TF-IDF, random numbers, fingerprints.
- model: the paper's ECLARE: data, label graph, clusters, network, training in stages, inference, search.
- evaluation: metrics (P, PSP, nDCG, recall, coverage) and the baseline that a model must beat.
- related: dated clicks to related products, every night: co-occurrence, candidates, features, re-ranking, backtest.
- xc: titles to labels, once and for all: the recommender, its features, the repository's file formats.
- ranker: weights features of candidates into one score; both related and xc learn it.
- __main__: the command line, eclare fit and so on.

A shape is written behind a variable's name: scores_NK has N rows and K columns. Ids exist at both ends only; inside,
everything is a row number. The letters:

- N points: query products or titles; Q those of one question; B of one batch
- L labels: products that can be recommended; S some of them (in related: sessions); U rows that a batch uses
- P products, where points and labels are the same ones
- C candidates of a point, or clusters of labels (meta-labels)
- K the best of them, PAD behind the last; R recommended; F features; G parts of a score
- V tokens of the vocabulary; D numbers of an embedding
- M neighbours of a label, or matrices of one pattern; Z views that a classifier mixes: text, graph, refinement
- E entries, one after the other; T steps of a walk
"""
