package site

default verdict := "fail"
