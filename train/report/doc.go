// Package report renders a finished training run as one HTML page: curves of
// loss and accuracy, the confusion matrix, test images with their predictions,
// and how the attention vectors gather by class.
//
// The page is self-contained. It has no script, and a content security policy in
// it forbids every request, so it can be mailed, archived and opened offline.
package report
