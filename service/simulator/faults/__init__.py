"""Misbehaviour on demand: each kind of fault is one class, its parameters are its fields."""
